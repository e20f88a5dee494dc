package datapath

import (
	"path/filepath"

	"github.com/cilium/ebpf/link"
)

// IsLive tells whether the attachment in dir still is on the device of its
// record, by its links; what has none is live if its filters are.
func IsLive(dir string, record *Record) bool {
	for _, pin := range []string{pinXDP, pinTCIngress, pinTCEgress} {
		l, err := link.LoadPinnedLink(filepath.Join(dir, pin), nil)
		if err != nil {
			continue
		}
		defer l.Close()
		info, err := l.Info()
		return err == nil && linkIndex(info) == record.Device.Index
	}
	return record.hasFilter(ingress) || record.hasFilter(egress)
}

// HoldsXDP tells whether the XDP program on the recorded device is that of the
// attachment in dir. It takes no CAP_SYS_ADMIN, as a look at the program itself
// would.
func HoldsXDP(dir string, record *Record) bool {
	l, err := link.LoadPinnedLink(filepath.Join(dir, pinXDP), nil)
	if err != nil {
		return false
	}
	defer l.Close()
	info, err := l.Info()
	return err == nil && linkIndex(info) == record.Device.Index
}
