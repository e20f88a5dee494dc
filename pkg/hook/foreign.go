package hook

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// ForeignTC is a foreign program at a tc hook, or a filter without a program.
type ForeignTC struct {
	Device Device
	// Hook is tc_ingress or tc_egress, as in Placed.
	Hook string
	// Kind is TCX or Clsact.
	Kind TCHook
	// Classifier is the kind of a clsact filter, such as bpf or u32; empty at tcx.
	Classifier string
	// Filter is what its owner calls a clsact filter, if that has a name.
	Filter string
	// Priority is that of a clsact filter, 0 at tcx.
	Priority uint16
	// Yields tells that ADD puts ours ahead of a clsact filter.
	Yields bool
	// Program is 0 for a filter that has none.
	Program ebpf.ProgramID
	// Name is that of the program, "unknown" to a process without CAP_SYS_ADMIN.
	Name string
}

// String names it in messages.
func (f ForeignTC) String() string {
	if f.Kind == TCX {
		return fmt.Sprintf("the foreign tcx program %q (id %d)", f.Name, f.Program)
	}
	text := fmt.Sprintf("priority %d, %s", f.Priority, f.Classifier)
	if f.Program != 0 {
		text += fmt.Sprintf(" program %q, id %d", f.Name, f.Program)
	}
	if f.Filter == "" {
		return fmt.Sprintf("a foreign clsact filter (%s)", text)
	}
	return fmt.Sprintf("the foreign clsact filter %.80q (%s)", f.Filter, text)
}

// ListForeign names foreign programs, but not so many that nobody reads them.
func ListForeign(found []ForeignTC) string {
	const enough = 4
	var names []string
	for i := range min(len(found), enough) {
		names = append(names, found[i].String())
	}
	if more := len(found) - enough; more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	return strings.Join(names, ", ")
}

func foreignAtTCX(dev Device, id ebpf.ProgramID, at Side) ForeignTC {
	return ForeignTC{Device: dev, Hook: string(at.Point()), Kind: TCX, Program: id, Name: ProgramName(id)}
}

func foreignFilter(dev Device, filter netlink.Filter, at Side) ForeignTC {
	f := ForeignTC{
		Device: dev, Hook: string(at.Point()), Kind: Clsact, Classifier: filter.Type(), Priority: filter.Attrs().Priority,
		Yields: canShare(filter),
	}
	if bpf, ok := filter.(*netlink.BpfFilter); ok {
		f.Filter, f.Program = bpf.Name, ebpf.ProgramID(bpf.Id)
		f.Name = ProgramName(f.Program)
	}
	return f
}

// isForeign tells whether somebody else made the filter.
func isForeign(filter netlink.Filter) bool {
	bpf, ok := filter.(*netlink.BpfFilter)
	return !ok || !strings.HasPrefix(bpf.Name, FilterPrefix)
}

// isInMainChain tells whether packets come by the filter without being sent
// there. Who sends them elsewhere by goto is in the main chain itself.
func isInMainChain(filter netlink.Filter) bool {
	chain := filter.Attrs().Chain
	return chain == nil || *chain == 0
}

// mayEndChain tells whether the filter may keep a packet that rules are about from
// the filters behind it. A filter without an action does so, too, if it matches:
// the kernel takes that for OK (net/sched/cls_bpf.c, tcf_exts_exec).
//
// It looks at no more than the protocol: what a BPF program returns, and what
// classifiers and actions there will be, nobody can know.
func mayEndChain(filter netlink.Filter) bool {
	switch filter.Attrs().Protocol {
	case unix.ETH_P_ALL, unix.ETH_P_IP, unix.ETH_P_IPV6, unix.ETH_P_8021Q, unix.ETH_P_8021AD:
		return isInMainChain(filter)
	}
	return false
}

// isAbsent tells whether an error says that the device, or the kind of hook, is
// not there: nothing foreign is there either.
func isAbsent(err error) bool {
	return errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) ||
		errors.Is(err, ebpf.ErrNotSupported)
}

// ProgramName returns the name that the kernel knows a program by, "unknown" if
// it does not tell.
func ProgramName(id ebpf.ProgramID) string {
	program, err := ebpf.NewProgramFromID(id)
	if err != nil {
		return "unknown"
	}
	defer program.Close()
	info, err := program.Info()
	if err != nil {
		return "unknown"
	}
	return info.Name
}
