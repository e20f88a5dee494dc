package datapath

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// ProgramName returns the name that the kernel knows a program by, "unknown" if
// it does not tell.
func ProgramName(id uint32) string { return programName(ebpf.ProgramID(id)) }

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
	// yields tells that ADD puts ours ahead of a clsact filter.
	yields bool
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

// listForeign names foreign programs, but not so many that nobody reads them.
func listForeign(found []ForeignTC) string {
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

func foreignAtTCX(dev Device, id ebpf.ProgramID, at side) ForeignTC {
	return ForeignTC{Device: dev, Hook: at.pin(), Kind: TCX, Program: id, Name: programName(id)}
}

func foreignFilter(dev Device, filter netlink.Filter, at side) ForeignTC {
	f := ForeignTC{
		Device: dev, Hook: at.pin(), Kind: Clsact, Classifier: filter.Type(), Priority: filter.Attrs().Priority,
		yields: canShare(filter),
	}
	if bpf, ok := filter.(*netlink.BpfFilter); ok {
		f.Filter, f.Program = bpf.Name, ebpf.ProgramID(bpf.Id)
		f.Name = programName(f.Program)
	}
	return f
}

// isForeign tells whether somebody else made the filter.
func isForeign(filter netlink.Filter) bool {
	bpf, ok := filter.(*netlink.BpfFilter)
	return !ok || !strings.HasPrefix(bpf.Name, filterPrefix)
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

// tcPrograms are the names of our programs at tc hooks.
var tcPrograms = []string{programsProgFixUpChecksum, programsProgFromContainerTc, programsProgToContainer}

// pinnedTCPrograms returns the ids of the tc programs of all rulesets beside the
// one pinned in dir, and its own: those of another attachment are on the device
// while it is exchanged for this one. Names would take CAP_SYS_ADMIN to read.
func pinnedTCPrograms(dir string) map[ebpf.ProgramID]bool {
	ids := map[ebpf.ProgramID]bool{}
	for _, name := range tcPrograms {
		pins, _ := filepath.Glob(filepath.Join(filepath.Dir(dir), "*", pinName(name))) // the pattern is good
		for _, pin := range pins {
			if id, err := pinnedProgramID(pin); err == nil {
				ids[id] = true
			}
		}
	}
	return ids
}

func pinnedProgramID(pin string) (ebpf.ProgramID, error) {
	program, err := ebpf.LoadPinnedProgram(pin, nil)
	if err != nil {
		return 0, fmt.Errorf("%w to open the program %s: %w", ErrPin, pin, err)
	}
	defer program.Close()
	return programID(program)
}

// isAbsent tells whether an error says that the device, or the kind of hook, is
// not there: nothing foreign is there either.
func isAbsent(err error) bool {
	return errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) ||
		errors.Is(err, ebpf.ErrNotSupported)
}
