package differential

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/rules"
	"github.com/xdp-port/xdp-port/test/internal/model"
	"github.com/xdp-port/xdp-port/test/node"
	"github.com/xdp-port/xdp-port/test/pace"
	"github.com/xdp-port/xdp-port/test/packet"
)

// otherDevice is an interface without rules.
const otherDevice = 7

// TestSkippedHooksDoWhatTheModelDoes checks packets that only one of XDP and tc ingress
// sees. Redirected packets reach tc alone, and packets from an ifb device reach XDP
// alone. A packet that the stack drops between the two leaves a hint that nobody takes.
func TestSkippedHooksDoWhatTheModelDoes(t *testing.T) {
	node.NeedMode(t, "generic")
	stayOnCPU(t)
	addOtherDevice(t)
	const scenarios, steps = 60, 250
	walked := map[string]int{}
	for seed := range pace.Share(scenarios) {
		if err := compareSkipping(uint64(seed), steps, walked); err != nil {
			t.Fatalf("scenario %d: %v", seed, err)
		}
	}
	t.Logf("%v", walked)
	for _, way := range ways {
		if walked[way.name] == 0 {
			t.Errorf("no packet went the way %q", way.name)
		}
	}
}

// addOtherDevice adds the interface in a network namespace of the test's own.
func addOtherDevice(t *testing.T) {
	t.Helper()
	runtime.LockOSThread() // never unlocked: the thread ends with the test
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.Index = "other", otherDevice
	device := &netlink.Veth{LinkAttrs: attrs, PeerName: "peer"}
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(netlink.LinkAdd(device), netlink.LinkSetUp(device)); err != nil {
		t.Fatal(err)
	}
}

// way is the path of an egress packet through the hooks.
type way struct {
	name string
	walk func(s *skipping, frame []byte) error
}

var ways = []way{
	{"XDP and tc", (*skipping).both},
	{"XDP and tc, then XDP again", (*skipping).again},
	{"tc alone", (*skipping).tcAlone},
	{"XDP alone", (*skipping).xdpAlone},
	{"XDP alone, then tc of another packet", (*skipping).xdpAndTwin},
	{"XDP alone, then tc of another device", (*skipping).xdpAndOtherDevice},
	{"XDP twice, then tc", (*skipping).xdpTwice},
}

// skipping runs a scenario through the programs in mode generic and through the model.
type skipping struct {
	programs  *datapath.Programs
	reference *model.Model
	random    *rand.Rand
}

func compareSkipping(seed uint64, steps int, walked map[string]int) error {
	scenario, reference, programs, err := stage(seed, datapath.Generic)
	if err != nil {
		return err
	}
	defer programs.Close()
	random := rand.New(rand.NewPCG(seed, 2))
	s := &skipping{programs, reference, random}
	for range steps {
		dir, frame := scenario.Next()
		if !runs(programs, dir) || !fitsSKB(frame) {
			continue
		}
		way := ways[random.IntN(len(ways))]
		if dir == rules.Ingress {
			way.walk = (*skipping).toContainer
		} else {
			walked[way.name]++
		}
		if err := way.walk(s, frame); err != nil {
			return fmt.Errorf("%s: %w\n%s packet: %x\nrules: %+v", way.name, err, dir, frame, scenario.Rules)
		}
	}
	return nil
}

func (s *skipping) toContainer(frame []byte) error {
	return comparePacket(s.programs, s.reference, rules.Ingress, frame)
}

func (s *skipping) both(frame []byte) error {
	return comparePacket(s.programs, s.reference, rules.Egress, frame)
}

// again returns a packet through an ifb device behind tc ingress. XDP must leave it
// alone.
func (s *skipping) again(frame []byte) error {
	got, verdict, err := process(s.programs, rules.Egress, frame)
	if err := errors.Join(err, s.same(frame, got, verdict)); err != nil || verdict == model.Drop {
		return err
	}
	out, result, err := run(s.programs.FromContainer, got)
	if err == nil && (result != xdpPass || !bytes.Equal(out, got)) {
		err = fmt.Errorf("from_container returned %d and made\n%x of\n%x, which it had seen", result, out, got)
	}
	return errors.Join(err, s.sameCounters())
}

// tcAlone handles a packet that was redirected before: generic XDP does not run.
func (s *skipping) tcAlone(frame []byte) error {
	got, verdict, err := runTC(s.programs.FixUpChecksum, frame)
	return errors.Join(err, s.same(frame, got, verdict))
}

// xdpAlone handles a packet that the stack drops behind XDP, or that skips tc ingress.
func (s *skipping) xdpAlone(frame []byte) error {
	_, _, err := s.xdp(frame)
	return err
}

// xdp runs XDP alone. If XDP changed or dropped the packet, the result must be that of
// the model, except for the checksum. Otherwise nothing has decided the packet yet, and
// decided is nil.
func (s *skipping) xdp(frame []byte) (out, decided []byte, err error) {
	out, result, err := run(s.programs.FromContainer, frame)
	if err != nil || result == xdpPass && bytes.Equal(out, frame) {
		return out, nil, errors.Join(err, s.sameCounters())
	}
	if result == xdpDrop {
		return nil, nil, s.same(frame, nil, model.Drop)
	}
	adoptPort(s.reference, out)
	decided, verdict := s.reference.FromContainer(frame)
	const checksum = 2 // bytes
	if verdict != model.Pass || differences(out, decided) > checksum {
		return nil, nil, fmt.Errorf("XDP made\n%x, the model %s\n%x (%s)", out, verdict, decided, s.reference.Reason)
	}
	return out, decided, s.sameCounters()
}

func differences(a, b []byte) (count int) {
	if len(a) != len(b) {
		return len(a) + len(b)
	}
	for i := range a {
		if a[i] != b[i] {
			count++
		}
	}
	return count
}

// xdpAndTwin sends tc a packet that XDP never saw, right behind one that XDP changed.
// The two differ in one respect only, so the hint must not apply.
func (s *skipping) xdpAndTwin(frame []byte) error {
	changed, decided, err := s.xdp(frame)
	if err != nil || decided == nil {
		return err
	}
	twin := s.twin(frame, changed, decided)
	if bytes.Equal(twin, changed) {
		return nil
	}
	if err := s.tcAlone(twin); err != nil {
		return fmt.Errorf("%w\ntwin packet: %x", err, twin)
	}
	return nil
}

// twin returns a packet that differs from the changed one in one respect: its checksum,
// which is correct, a field of the IP header, the length of the frame, or that the
// changed headers are in its payload.
func (s *skipping) twin(frame, changed, decided []byte) []byte {
	const ethernet, identification = 14, 14 + 4 // in IPv6 the length
	switch s.random.IntN(5) {
	case 0:
		return packet.Flip(changed, 8*(ethernet+1)+s.random.IntN(8))
	case 1:
		return packet.Flip(changed, 8*identification+s.random.IntN(16))
	case 2:
		return packet.Flip(changed, 8*(ethernet+12+s.random.IntN(8))) // the IPv4 addresses
	case 3:
		return slices.Concat(frame, changed[ethernet:])
	}
	return decided
}

// xdpAndOtherDevice runs tc for an interface without rules. The hint must not apply to
// its packet, even though that has the same bytes.
func (s *skipping) xdpAndOtherDevice(frame []byte) error {
	changed, _, err := s.xdp(frame)
	if err != nil || changed == nil {
		return err
	}
	const ifindexWord = 10 // struct __sk_buff
	var context [ifindexWord + 1]uint32
	context[ifindexWord] = otherDevice
	options := ebpf.RunOptions{Data: changed, DataOut: make([]byte, len(changed)+256), Context: &context}
	result, err := s.programs.FixUpChecksum.Run(&options)
	if err == nil && (result != tcxNext || !bytes.Equal(options.DataOut, changed)) {
		err = fmt.Errorf("tc of another device returned %d and made\n%x of\n%x", result, options.DataOut, changed)
	}
	return errors.Join(err, s.sameCounters())
}

// xdpTwice returns the packet itself to XDP before tc sees it. XDP recognizes by the
// ports that it has changed the packet. The checksum was never fixed up.
func (s *skipping) xdpTwice(frame []byte) error {
	_, decided, err := s.xdp(frame)
	if err != nil || decided != nil {
		return err
	}
	return s.both(frame)
}

// same compares the result for a packet with that of the model.
func (s *skipping) same(frame, got []byte, gotVerdict model.Verdict) error {
	adoptPort(s.reference, got)
	want, wantVerdict := s.reference.FromContainer(frame)
	if gotVerdict != wantVerdict {
		return fmt.Errorf("the verdict is %s, the model's %s (%s)", gotVerdict, wantVerdict, s.reference.Reason)
	}
	if gotVerdict == model.Pass && !bytes.Equal(got, want) {
		return fmt.Errorf("the packet became\n%x, the model's\n%x (%s)", got, want, s.reference.Reason)
	}
	return s.sameCounters()
}

func (s *skipping) sameCounters() error {
	return compareCounters(s.programs, s.reference)
}
