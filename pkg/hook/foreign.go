package hook

import (
	"fmt"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
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

// ListForeign names foreign programs in a message, at most four of them.
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
