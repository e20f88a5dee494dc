package datapath

import "github.com/cilium/ebpf"

// What the tests of this package, which are in datapath_test, see of it.
const (
	FixedCounters1 = fixedCounters1
	NearBytes      = nearBytes
	NearBytesInAll = nearBytesInAll
	CacheLine      = cacheLine
)

var (
	LoadWith  = load
	NoSKB     = noSKB
	TakesSKB  = takesSKB
	Entry     = entry
	SizeNear  = sizeNear
	LeaveNear = leaveNear
	IsRefusal = isRefusal
)

// Maps are the maps of a ruleset.
func (p *Programs) Maps() map[string]*ebpf.Map { return p.maps }

// All are the programs of a ruleset by name.
func (p *Programs) All() map[string]**ebpf.Program { return p.programs() }

// Names tells which programs run at the hooks.
func (h Hooks) Names() map[string]bool { return h.programs() }

// ChecksumHelper tells whether the programs call a helper for checksums.
func (p *Programs) ChecksumHelper() *bool { return &p.checksumHelper }

// NearDevices is the map of who has which place.
func (p *Programs) NearDevices() *ebpf.Map { return p.near().devices }

// NearOwner returns who has the place of a device.
func (p *Programs) NearOwner(ifindex uint32) (uint32, error) { return p.near().owner(ifindex) }

// PrepareNear and TakeNear are what Enable does.
func (p *Programs) PrepareNear(ifindex uint32) (bool, error) { return p.near().prepare(ifindex) }

// TakeNear gives a device its place.
func (p *Programs) TakeNear(ifindex uint32) error { return p.near().take(ifindex) }
