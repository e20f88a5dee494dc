package attachment

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/bpf"
	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/flow"
	"github.com/xdp-port/xdp-port/pkg/hook"
	"github.com/xdp-port/xdp-port/pkg/pin"
	"github.com/xdp-port/xdp-port/pkg/rules"
)

// ErrDiffers is returned when an attachment differs from the desired state. The message says how.
var ErrDiffers = errors.New("attachment mismatch")

// Verify compares the attachment of a loaded ruleset with its desired state on this device.
// Programs of another build are no difference: a container keeps its programs.
//
// Returns an error wrapping ErrDiffers that says what differs, or pin.ErrPin where the BPF file
// system is read-only.
func (folder Folder) Verify(ruleset datapath.Dir, dev hook.Device, rs *datapath.Ruleset, tcHook hook.TCHook) error {
	record, err := folder.Record()
	if err != nil {
		return unlikeOrUnread(err)
	}
	loaded, err := ruleset.Description()
	if err != nil {
		return unlikeOrUnread(err)
	}
	if err := errors.Join(verifyRuleset(&loaded.Ruleset, rs), record.verify(dev, tcHook)); err != nil {
		return err
	}
	programs, err := openToVerify(ruleset, rs.Hooks())
	if err != nil {
		return unlikeOrUnread(err)
	}
	defer programs.Close()
	return verifySlots(programs, record, folder)
}

// openToVerify opens all pins of a ruleset of this build. Other builds may have other maps.
func openToVerify(dir datapath.Dir, hooks datapath.Hooks) (*datapath.Programs, error) {
	flows, err := dir.OpenFlows()
	if err != nil {
		return nil, err
	}
	defer flows.Close()
	if flow.IsOfThisBuild(flows) {
		return dir.OpenWhole(hooks)
	}
	return dir.Open(hooks)
}

// unlikeOrUnread classifies an error of reading. On a read-only file system the attachment may
// be as it should be.
func unlikeOrUnread(err error) error {
	if errors.Is(err, unix.EROFS) {
		return fmt.Errorf("%w: %w", pin.ErrPin, err)
	}
	return differs("%w", err)
}

func differs(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrDiffers}, args...)...)
}

// verifyRuleset compares the loaded ruleset with the desired one.
func verifyRuleset(rs, desired *datapath.Ruleset) error {
	switch {
	case rs.Mode != desired.Mode:
		return differs("the mode is %s, the configuration wants %s", rs.Mode, desired.Mode)
	case rs.Flows != desired.Flows:
		return differs("it has %d flows, the configuration wants %d", rs.Flows, desired.Flows)
	case !rs.NetNS.Is(desired.NetNS):
		return differs("it was attached in another network namespace of the host")
	}
	return verifyRules(rs, desired)
}

func verifyRules(rs, desired *datapath.Ruleset) error {
	for i := range max(len(rs.Rules), len(desired.Rules)) {
		switch {
		case i >= len(rs.Rules):
			return differs("rules[%d] of the configuration, %q, is not in force", i, desired.Rules[i].Name)
		case i >= len(desired.Rules):
			return differs("the rule %q is in force, but not in the configuration", rs.Rules[i].Name)
		case rs.Rules[i].Name == desired.Rules[i].Name && !equalAsJSON(rs.Rules[i], desired.Rules[i]):
			return differs("rules[%d] of the configuration, %q, is in force with another %s",
				i, desired.Rules[i].Name, strings.Join(otherKeys(&rs.Rules[i], &desired.Rules[i]), ", "))
		case !equalAsJSON(rs.Rules[i], desired.Rules[i]):
			return differs("rules[%d] of the configuration, %q, is not the rule %q that is in force",
				i, desired.Rules[i].Name, rs.Rules[i].Name)
		}
	}
	return nil
}

// otherKeys returns the keys of the configuration in which two rules differ.
func otherKeys(a, b *rules.Rule) []string {
	var keys []string
	for _, key := range []struct {
		name string
		a, b any
	}{
		{"direction", a.Direction, b.Direction},
		{"protocol", a.Protocol, b.Protocol},
		{"port", a.Ports, b.Ports},
		{"action", a.Action, b.Action},
		{"toPort", a.To, b.To},
		{"cidrs", a.Peers, b.Peers},
		{"oneWay", a.OneWay, b.OneWay},
	} {
		if !equalAsJSON(key.a, key.b) {
			keys = append(keys, key.name)
		}
	}
	return keys
}

// equalAsJSON compares values of which one comes from JSON, where an empty list equals none.
func equalAsJSON(a, b any) bool {
	textA, errA := json.Marshal(a)
	textB, errB := json.Marshal(b)
	return errors.Join(errA, errB) == nil && bytes.Equal(textA, textB)
}

func (r *Record) verify(dev hook.Device, tcHook hook.TCHook) error {
	switch {
	case r.Device.Index != dev.Index:
		return differs("it is for %s with index %d, but the interface's host side is %s with index %d now",
			r.Device.Name, r.Device.Index, dev.Name, dev.Index)
	case tcHook != hook.AutoHook && r.Hook != tcHook:
		return differs("the tc hook is %s, the configuration wants %s", r.Hook, tcHook)
	}
	return nil
}

// verifySlots looks at each point, and whether the programs are enabled for the device.
func verifySlots(p *datapath.Programs, record *Record, folder Folder) error {
	var problems []string
	for _, slot := range slotsOf(p) {
		if slot.program == nil {
			continue
		}
		if problem := slot.problem(record, folder); problem != "" {
			problems = append(problems, problem)
		}
	}
	if problem := problemOfActivation(p, record); problem != "" {
		problems = append(problems, problem)
	}
	if len(problems) > 0 {
		return differs("%s", strings.Join(problems, "; "))
	}
	return nil
}

// problemOfActivation says why the programs are not enabled; it is empty if they are.
func problemOfActivation(p *datapath.Programs, record *Record) string {
	owner, isKnown, err := p.Owner(record.Device.Index)
	switch {
	case errors.Is(err, ebpf.ErrKeyNotExist):
		return fmt.Sprintf("the programs are not enabled for %s: it is not in their map %s", record.Device.Name, bpf.ProgramsMapCounters)
	case err != nil:
		return fmt.Sprintf("the map %s cannot be read: %v", bpf.ProgramsMapCounters, err)
	case isKnown && owner != record.ID:
		return fmt.Sprintf("the programs are enabled for %s by another attachment, which their map %s names", record.Device.Name, bpf.ProgramsMapCounters)
	}
	return ""
}
