package datapath

import (
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// ProgramName returns the name that the kernel knows a program by, "unknown" if
// it does not tell.
func ProgramName(id uint32) string { return programName(ebpf.ProgramID(id)) }

// FirstTCXIngress returns the id of the program that sees packets first at a
// device's tcx ingress, 0 if there is none.
func FirstTCXIngress(ifindex int) (uint32, error) {
	found, err := link.QueryPrograms(link.QueryOptions{Target: ifindex, Attach: ebpf.AttachTCXIngress})
	if err != nil || len(found.Programs) == 0 {
		return 0, err
	}
	return uint32(found.Programs[0].ID), nil
}
