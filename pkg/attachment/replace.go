package attachment

import (
	"fmt"
	"slices"

	"github.com/cilium/ebpf/link"

	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/hook"
	"github.com/xdp-port/xdp-port/pkg/pin"
	"github.com/xdp-port/xdp-port/pkg/veth"
)

// CanReplace reports whether Replace can exchange the programs of the attachment: all links
// must be on this device, and mode and tc hook stay.
func (folder Folder) CanReplace(dev hook.Device, netns veth.NetNS, mode datapath.Mode, tcHook hook.TCHook) bool {
	record, err := folder.Record()
	if err != nil || record.Device.Index != dev.Index || !record.NetNS.Is(netns) || record.Mode != mode || tcHook != hook.AutoHook && record.Hook != tcHook {
		return false
	}
	links, err := linksOf(folder)
	return err == nil && !slices.ContainsFunc(links, func(info *link.Info) bool { return pin.LinkIndex(info) != dev.Index })
}

// Replace puts the programs into the attachment, each in one atomic step. Points without a
// new program keep the old one until Clear.
//
// XDP comes last. Until the programs are enabled for the device, XDP leaves it to their tc
// ingress program to hand packets over.
func (folder Folder) Replace(p *datapath.Programs) error {
	record, err := folder.Record()
	if err != nil {
		return err
	}
	if err := addQdisc(p, record, folder); err != nil {
		return err
	}
	for _, slot := range slotsOf(p) {
		if slot.program == nil {
			continue
		}
		if err := slot.exchange(record, folder); err != nil {
			return err
		}
	}
	return nil
}

// Clear detaches the programs at points without a new one. XDP comes first: without tc
// ingress behind it nobody would fix up the checksums of its packets.
func (folder Folder) Clear(p *datapath.Programs) error {
	record, err := folder.Record()
	if err != nil {
		return err
	}
	for _, slot := range slices.Backward(slotsOf(p)) {
		if slot.program != nil {
			continue
		}
		if err := slot.clear(record, folder); err != nil {
			return err
		}
	}
	return nil
}

// addQdisc adds the clsact qdisc if the old rules had no tc program.
func addQdisc(p *datapath.Programs, record *Record, folder Folder) error {
	needed, err := needsQdisc(p, record)
	if err != nil || !needed {
		return err
	}
	record.OwnsQdisc = true
	if err := record.pin(folder); err != nil {
		return err
	}
	return hook.AddQdisc(record.Device)
}

// Restore undoes Replace: it puts the programs of the ruleset back, in reverse order.
func (folder Folder) Restore(ruleset datapath.Dir) error {
	record, err := folder.Record()
	if err != nil {
		return err
	}
	p, err := ruleset.OpenAll()
	if err != nil {
		return fmt.Errorf("%w: put the old programs back: %w", hook.ErrAttach, err)
	}
	defer p.Close()
	for _, slot := range slices.Backward(slotsOf(p)) {
		restore := slot.exchange
		if slot.program == nil {
			restore = slot.clear
		}
		if err := restore(record, folder); err != nil {
			return err
		}
	}
	return nil
}
