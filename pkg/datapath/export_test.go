package datapath

import "github.com/cilium/ebpf"

// What the tests of this package, which are in datapath_test, see of it.
const (
	FixedCounters1 = fixedCounters1
	FastBytes      = fastBytes
	FastBytesInAll = fastBytesInAll
	CacheLine      = cacheLine
)

var (
	LoadWith          = load
	NoSKB             = noSKB
	TakesSKB          = takesSKB
	Entry             = entry
	SizeFastCounters  = sizeFastCounters
	LeaveFastCounters = leaveFastCounters
	IsRefusal         = isRefusal
)

// Maps are the maps of a ruleset.
func (p *Programs) Maps() map[string]*ebpf.Map { return p.maps }

// All are the programs of a ruleset by name.
func (p *Programs) All() map[string]**ebpf.Program { return p.programs() }

// Names tells which programs run at the hooks.
func (h Hooks) Names() map[string]bool { return h.programs() }

// ChecksumHelper reports whether the programs call a helper for checksums.
func (p *Programs) ChecksumHelper() *bool { return &p.checksumHelper }

// FastCounterOwners is the map of who has which place.
func (p *Programs) FastCounterOwners() *ebpf.Map { return p.fastCounters().devices }

// FastCounterOwner returns who has the place of a device.
func (p *Programs) FastCounterOwner(ifindex uint32) (uint32, error) {
	return p.fastCounters().owner(ifindex)
}

// PrepareFastCounters and TakeFastCounters are what Enable does.
func (p *Programs) PrepareFastCounters(ifindex uint32) (bool, error) {
	return p.fastCounters().prepare(ifindex)
}

// TakeFastCounters gives a device its place.
func (p *Programs) TakeFastCounters(ifindex uint32) error { return p.fastCounters().take(ifindex) }
