package datapath

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// Placed is a program at one of the hooks of an attachment.
type Placed struct {
	// Hook is xdp, tc_ingress or tc_egress.
	Hook string
	// Program is 0 where the kernel has none any more.
	Program ebpf.ProgramID
}

// Health is what there is of an attachment, and what is wrong with it.
type Health struct {
	Placed []Placed
	// Gone tells that its device is not there any more, so that nothing can
	// come of it: it is to be collected.
	Gone bool
	// Problems has a few words each; it is empty where all is as ADD left it.
	Problems []string
}

// Examine looks at the attachment in folder, of the ruleset pinned in dir. Of
// an attachment in another network namespace than the caller's, whose devices
// and filters nobody sees from here, only the links are looked at.
func Examine(folder, dir string, netns uint64) Health {
	record, err := ReadRecord(folder)
	if err != nil {
		return Health{Problems: []string{fmt.Sprintf("no record: %v", err)}}
	}
	x := examination{folder: folder, record: record, here: record.NetNS == netns}
	x.deviceGone()
	programs, err := OpenAll(dir)
	if err != nil {
		x.problem("its ruleset is damaged: %v", err)
		return x.Health
	}
	defer programs.Close()
	for _, point := range programs.hookPoints(record) {
		x.point(point)
	}
	if _, err := programs.Counters(record.Device.Index); err != nil {
		x.problem("the programs do not heed %s", record.Device.Name)
	}
	return x.Health
}

// examination is what Examine knows while it looks.
type examination struct {
	Health
	folder string
	record *Record
	here   bool
}

func (x *examination) problem(format string, args ...any) {
	x.Problems = append(x.Problems, fmt.Sprintf(format, args...))
}

// deviceGone looks for the device, or by a link whether it had one.
func (x *examination) deviceGone() {
	dev := x.record.Device
	switch {
	case !x.here:
		x.Gone = x.hasDefunctLink()
	default:
		x.Gone = !dev.Exists()
	}
	if x.Gone {
		x.problem("its device %s (index %d) is gone", dev.Name, dev.Index)
	}
}

func (x *examination) hasDefunctLink() bool {
	for _, pin := range []string{pinXDP, pinTCIngress, pinTCEgress} {
		info, err := linkInfo(filepath.Join(x.folder, pin))
		if err == nil && linkIndex(info) == 0 {
			return true
		}
	}
	return false
}

func linkInfo(pin string) (*link.Info, error) {
	l, err := link.LoadPinnedLink(pin, nil)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	return l.Info()
}

// point compares what is at a hook with what the ruleset has for it.
func (x *examination) point(point hookPoint) {
	if point.program == nil {
		return
	}
	want, err := programID(point.program)
	if err != nil {
		x.problem("%s: %v", point.pin, err)
		return
	}
	got := x.programAt(point.pin)
	x.Placed = append(x.Placed, Placed{Hook: point.pin, Program: got})
	if got != 0 && got != want {
		x.problem("%s has program %d (%s), its ruleset's is %d", point.pin, got, programName(got), want)
	}
}

// programAt returns the program at a hook, or says why there is none.
func (x *examination) programAt(hook string) ebpf.ProgramID {
	if x.record.Hook == Clsact && hook != pinXDP {
		return x.filterAt(hook)
	}
	info, err := linkInfo(filepath.Join(x.folder, hook))
	switch {
	case errors.Is(err, os.ErrNotExist):
		x.problem("the link %s is not pinned any more", hook)
		return 0
	case err != nil:
		x.problem("the link %s cannot be opened: %v", hook, err)
		return 0
	}
	switch index := linkIndex(info); index {
	case x.record.Device.Index:
		return info.Program
	case 0:
		x.problem("the link %s is defunct%s", hook, x.insteadAt(hook))
	default:
		x.problem("the link %s is on the device with index %d", hook, index)
	}
	return 0
}

// insteadAt names whose program is where our link was.
func (x *examination) insteadAt(hook string) string {
	var foreign *ForeignError
	if x.here && !x.Gone && hook == pinXDP && errors.As(foreignXDP(x.record.Device), &foreign) {
		return fmt.Sprintf(": the XDP program %q (id %d) is there instead", foreign.Name, foreign.ID)
	}
	return ""
}

func (x *examination) filterAt(hook string) ebpf.ProgramID {
	if !x.here {
		return 0
	}
	id := x.record.filterProgram(sideOf(hook))
	if id == 0 && !x.Gone {
		x.problem("the clsact filter of %s is gone", hook)
	}
	return id
}
