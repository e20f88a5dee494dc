package datapath

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// String names the hook in messages.
func (h hookPoint) String() string {
	return map[string]string{pinXDP: "XDP", pinTCIngress: "tc ingress", pinTCEgress: "tc egress"}[h.pin]
}

// problem says in what the hook is not as it should be, or nothing.
func (h hookPoint) problem(record *Record, folder string) string {
	if h.isFilter(record) {
		return h.problemOfFilter(record)
	}
	pin := filepath.Join(folder, h.pin)
	l, err := link.LoadPinnedLink(pin, nil)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Sprintf("the link of the %s program is not pinned at %s any more", h, pin)
	case err != nil:
		return fmt.Sprintf("the link of the %s program, %s, cannot be opened: %v", h, pin, err)
	}
	defer l.Close()
	info, err := l.Info()
	if err != nil {
		return fmt.Sprintf("the link of the %s program, %s, cannot be read: %v", h, pin, err)
	}
	return h.problemOfLink(record.Device, info)
}

func (h hookPoint) problemOfLink(dev Device, info *link.Info) string {
	switch index := linkIndex(info); {
	case index == 0 && h.pin == pinXDP:
		return fmt.Sprintf("the XDP program is not on %s any more: its link was detached%s", dev.Name, successor(dev))
	case index == 0:
		return fmt.Sprintf("the %s program is not on %s any more: its link was detached", h, dev.Name)
	case index != dev.Index:
		return fmt.Sprintf("the link of the %s program is on the device with index %d, not on %s", h, index, dev.Name)
	}
	return h.problemOfProgram(dev, info.Program)
}

// successor tells who took the place of the XDP program, if anybody did.
func successor(dev Device) string {
	foreign := foreignXDP(dev)
	if foreign == nil {
		return ""
	}
	return fmt.Sprintf(", and %q (id %d) is in its place", foreign.Name, foreign.ID)
}

func (h hookPoint) problemOfFilter(record *Record) string {
	got := record.filterProgram(sideOf(h.pin))
	if got == 0 {
		return fmt.Sprintf("the filter of the %s program is not at %s's clsact any more", h, record.Device.Name)
	}
	return h.problemOfProgram(record.Device, got)
}

func (h hookPoint) problemOfProgram(dev Device, got ebpf.ProgramID) string {
	switch want, err := programID(h.program); {
	case err != nil:
		return fmt.Sprintf("the %s program of %s: %v", h, dev.Name, err)
	case got != want:
		return fmt.Sprintf("the %s program on %s is %q (id %d), not the one of the ruleset (id %d)",
			h, dev.Name, programName(got), got, want)
	}
	return ""
}
