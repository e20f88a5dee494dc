package attachment

import (
	"errors"
	"fmt"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/xdp-port/xdp-port/pkg/hook"
	"github.com/xdp-port/xdp-port/pkg/pin"
)

// problem describes what is wrong at the point; it is empty if nothing is.
func (s slot) problem(record *Record, folder Folder) string {
	if s.isFilter(record) {
		return s.problemOfFilter(record)
	}
	path := folder.path(s.point)
	l, err := pin.OpenLink(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Sprintf("the link of the %s program is not pinned at %s any more", s.point, path)
	case err != nil:
		return fmt.Sprintf("the link of the %s program, %s, cannot be opened: %v", s.point, path, err)
	}
	defer l.Close()
	info, err := l.Info()
	if err != nil {
		return fmt.Sprintf("the link of the %s program, %s, cannot be read: %v", s.point, path, err)
	}
	return s.problemOfLink(record.Device, info)
}

func (s slot) problemOfLink(dev hook.Device, info *link.Info) string {
	switch index := pin.LinkIndex(info); {
	case index == 0 && s.point == hook.PointXDP:
		return fmt.Sprintf("the XDP program is not on %s any more: its link was detached%s", dev.Name, successor(dev))
	case index == 0:
		return fmt.Sprintf("the %s program is not on %s any more: its link was detached", s.point, dev.Name)
	case index != dev.Index:
		return fmt.Sprintf("the link of the %s program is on the device with index %d, not on %s", s.point, index, dev.Name)
	}
	return s.problemOfProgram(dev, info.Program)
}

// successor names the program that replaced the XDP program, if there is one.
func successor(dev hook.Device) string {
	foreign := hook.ForeignXDP(dev)
	if foreign == nil {
		return ""
	}
	return fmt.Sprintf(", and %q (id %d) is in its place", foreign.Name, foreign.ID)
}

func (s slot) problemOfFilter(record *Record) string {
	got := record.placement().FilterProgram(s.point.Side())
	if got == 0 {
		return fmt.Sprintf("the filter of the %s program is not at %s's clsact any more", s.point, record.Device.Name)
	}
	return s.problemOfProgram(record.Device, got)
}

func (s slot) problemOfProgram(dev hook.Device, got ebpf.ProgramID) string {
	switch want, err := pin.ProgramID(s.program); {
	case err != nil:
		return fmt.Sprintf("the %s program of %s: %v", s.point, dev.Name, err)
	case got != want:
		return fmt.Sprintf("the %s program on %s is %q (id %d), not the one of the ruleset (id %d)",
			s.point, dev.Name, hook.ProgramName(got), got, want)
	}
	return ""
}
