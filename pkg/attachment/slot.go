package attachment

import (
	"errors"
	"fmt"
	"os"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/hook"
	"github.com/xdp-port/xdp-port/pkg/pin"
)

// slot is a point of an attachment and the program for it, which is nil for none.
type slot struct {
	point   hook.Point
	program *ebpf.Program
}

// slotsOf lists the slots of a ruleset. XDP comes last, as in Attach.
func slotsOf(p *datapath.Programs) []slot {
	return []slot{
		{hook.PointTCIngress, p.AtTCIngress()},
		{hook.PointTCEgress, p.ToContainer},
		{hook.PointXDP, p.FromContainer},
	}
}

// attach puts the program where none is, or into the filter that is there.
func (s slot) attach(record *Record, path string) error {
	if s.point == hook.PointXDP {
		return hook.AttachXDP(record.Device, s.program, record.Mode.XDPFlags(), path)
	}
	return record.placement().Attach(s.program, s.point.Side(), path)
}

// exchange replaces the program at the point, or attaches one where there is none.
func (s slot) exchange(record *Record, folder Folder) error {
	path := folder.path(s.point)
	l, err := pin.OpenLink(path)
	if errors.Is(err, os.ErrNotExist) {
		// A clsact filter has no pin, and is replaced by adding it again.
		return s.attach(record, path)
	}
	if err != nil {
		return err
	}
	defer l.Close()
	err = l.Update(s.program)
	if errors.Is(err, unix.ENOLINK) { // it was detached by another program
		if err := pin.Remove(path); err != nil {
			return err
		}
		return s.attach(record, path)
	}
	if err != nil {
		return fmt.Errorf("%w: put the new program behind the link %s: %w", hook.ErrAttach, path, err)
	}
	return nil
}

// clear detaches the program at the point, if there is one.
func (s slot) clear(record *Record, folder Folder) error {
	if s.isFilter(record) {
		_, err := record.placement().RemoveFilter(s.point.Side())
		return err
	}
	path := folder.path(s.point)
	if err := hook.DetachLink(path); err != nil {
		return err
	}
	return pin.Remove(path)
}

// isFilter reports whether the slot has a clsact filter instead of a link.
func (s slot) isFilter(record *Record) bool {
	return record.Hook == hook.Clsact && s.point != hook.PointXDP
}
