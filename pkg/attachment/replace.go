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

// CanReplace tells whether the attachment in dir is one whose programs Replace
// can exchange: all on the same device still, in the same mode, at the same kind
// of tc hook.
func (folder Folder) CanReplace(dev hook.Device, netns veth.NetNS, mode datapath.Mode, tcHook hook.TCHook) bool {
	record, err := folder.Record()
	if err != nil || record.Device.Index != dev.Index || !record.NetNS.Is(netns) || record.Mode != mode || tcHook != hook.AutoHook && record.Hook != tcHook {
		return false
	}
	links, err := linksOf(folder)
	return err == nil && !slices.ContainsFunc(links, func(info *link.Info) bool { return pin.LinkIndex(info) != dev.Index })
}

// Replace puts p's programs into the attachment in dir, each by one atomic step.
// Hooks that p has no program for keep theirs until Clear.
//
// XDP comes last: as long as p does not heed the device, XDP leaves it to tc
// ingress of p to hand packets over.
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

// Clear takes off what is at hooks that p has no program for. XDP first: without
// tc ingress behind it, its changes would stay unsettled.
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

// addQdisc adds what rules that had no tc program had no need of.
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

// Restore undoes Replace: it puts the programs of the ruleset pinned in ruleset
// back into the attachment in dir, in reverse order.
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
