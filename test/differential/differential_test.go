// Package differential runs random packets through the programs in the kernel and
// through the model in Go. Both must agree on the verdict, every byte and every
// counter.
package differential

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/rules"
	"github.com/xdp-port/xdp-port/test/affinity"
	"github.com/xdp-port/xdp-port/test/internal/model"
	"github.com/xdp-port/xdp-port/test/node"
	"github.com/xdp-port/xdp-port/test/pace"
	"github.com/xdp-port/xdp-port/test/packet"
)

const (
	packetsPerScenario = 250
	scenarios          = 205  // more than 50,000 packets
	nightlyScenarios   = 4100 // more than 1,000,000 packets
)

// testDevice is the interface that packets of a test run come from: lo.
const testDevice = 1

func TestProgramsDoWhatTheModelDoes(t *testing.T) {
	count := pace.Share(scenarios)
	if os.Getenv("XDP_PORT_NIGHTLY") != "" {
		count = nightlyScenarios
	}
	eachMode(t, func(t *testing.T, mode datapath.Mode) {
		packets := 0
		for seed := range count {
			if err := compare(uint64(seed), mode, &packets); err != nil {
				t.Fatalf("scenario %d: %v", seed, err)
			}
		}
		t.Logf("%d packets of %d scenarios", packets, count)
	})
}

// eachMode runs a test in all modes whose programs support test runs.
func eachMode(t *testing.T, test func(t *testing.T, mode datapath.Mode)) {
	t.Helper()
	for _, mode := range []datapath.Mode{datapath.Generic, datapath.TC} {
		t.Run(mode.String(), func(t *testing.T) {
			node.NeedMode(t, mode.String())
			stayOnCPU(t)
			test(t, mode)
		})
	}
}

// stayOnCPU keeps XDP and tc of a packet on one CPU, as in the kernel: the hint between
// them is per CPU.
func stayOnCPU(t *testing.T) {
	t.Helper()
	leave, err := affinity.Stay()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(leave)
}

// compare runs one scenario through the programs and the model.
func compare(seed uint64, mode datapath.Mode, packets *int) error {
	scenario, reference, programs, err := stage(seed, mode)
	if err != nil {
		return err
	}
	defer programs.Close()
	flows, err := openTable(programs)
	if err != nil {
		return err
	}
	defer flows.Close()
	random := rand.New(rand.NewPCG(seed, 2))
	for range packetsPerScenario {
		if random.IntN(50) == 0 {
			if err := age(flows, reference, random); err != nil {
				return err
			}
		}
		dir, frame := scenario.Next()
		if !runs(programs, dir) {
			continue
		}
		if !fitsSKB(frame) {
			if err := wantUnchanged(programs, dir, frame); err != nil {
				return err
			}
			continue
		}
		*packets++
		if err := comparePacket(programs, reference, dir, frame); err != nil {
			return fmt.Errorf("%w\n%s packet: %x\nrules: %+v", err, dir, frame, scenario.Rules)
		}
		if reference.Reason == model.Rewritten || reference.Reason == model.Moved {
			scenario.Moved(reference.Source)
		}
	}
	return nil
}

// stage creates a scenario, and the model and the programs to run it through.
func stage(seed uint64, mode datapath.Mode) (*model.Scenario, *model.Model, *datapath.Programs, error) {
	scenario := model.NewScenario(seed)
	programs, err := load(scenario.Rules, mode)
	return scenario, model.New(scenario.Rules), programs, err
}

func load(list []rules.Rule, mode datapath.Mode) (*datapath.Programs, error) {
	table, err := rules.Compile(list)
	if err != nil {
		return nil, err
	}
	programs, err := datapath.Load(&datapath.Ruleset{Rules: list, Mode: mode, Flows: 1024}, table, datapath.Shared{})
	if err != nil {
		return nil, err
	}
	return programs, programs.Activate(testDevice)
}

// runs reports whether the rules need a program for this direction.
func runs(programs *datapath.Programs, dir rules.Direction) bool {
	if dir == rules.Egress {
		return programs.FromContainer != nil || programs.FromContainerTC != nil
	}
	return programs.ToContainer != nil
}

// adoptPort makes the model use the source port that the programs chose at random for a
// frame, if that port is free in the model.
func adoptPort(reference *model.Model, got []byte) {
	reference.PickPort = func(at int, source uint16, isFree func(uint16) bool) (uint16, bool) {
		first, last := model.Choices(source)
		port := binary.BigEndian.Uint16(got[at:])
		return port, first <= port && port <= last && isFree(port)
	}
}

func comparePacket(programs *datapath.Programs, reference *model.Model, dir rules.Direction, frame []byte) error {
	gotFrame, gotVerdict, err := process(programs, dir, frame)
	if err != nil {
		return err
	}
	adoptPort(reference, gotFrame)
	wantFrame, wantVerdict := reference.Process(dir, frame)
	if gotVerdict != wantVerdict {
		return fmt.Errorf("the verdict is %s, the model's %s (%s)", gotVerdict, wantVerdict, reference.Reason)
	}
	if gotVerdict == model.Pass && !bytes.Equal(gotFrame, wantFrame) {
		return fmt.Errorf("the packet became\n%x, the model's\n%x (%s)", gotFrame, wantFrame, reference.Reason)
	}
	if packet.Verify(frame) == nil && packet.Verify(wantFrame) != nil {
		return fmt.Errorf("the packet is damaged: %w (%s)", packet.Verify(wantFrame), reference.Reason)
	}
	return compareCounters(programs, reference)
}

func compareCounters(programs *datapath.Programs, reference *model.Model) error {
	got, err := programs.Counters(testDevice)
	if err != nil {
		return err
	}
	if want := countersOf(reference); !reflect.DeepEqual(got, want) {
		return fmt.Errorf("the counters are\n%+v, the model's\n%+v (%s)", got, want, reference.Reason)
	}
	return nil
}

func countersOf(reference *model.Model) *datapath.Counters {
	c := &reference.Counters
	out := &datapath.Counters{
		Passed: c.Passed, Rewritten: c.Rewritten, Dropped: c.Dropped, RepliesRestored: c.RepliesRestored,
		ICMPErrorsRestored: c.ICMPErrorsRestored, Malformed: c.Malformed,
		PortsMoved: c.PortsMoved, PortsExhausted: c.PortsExhausted,
	}
	for _, rule := range c.Rules {
		out.Rules = append(out.Rules, datapath.RuleCounter(rule))
	}
	return out
}

// Return values of the programs (include/uapi/linux/bpf.h).
const (
	xdpDrop = 1
	xdpPass = 2
	tcxNext = ^uint32(0)
	tcxDrop = 2
)

// process runs the frame through the hooks of a direction.
func process(programs *datapath.Programs, dir rules.Direction, frame []byte) ([]byte, model.Verdict, error) {
	if dir == rules.Ingress {
		return runTC(programs.ToContainer, frame)
	}
	if programs.FromContainerTC != nil {
		return runTC(programs.FromContainerTC, frame)
	}
	out, result, err := run(programs.FromContainer, frame)
	switch {
	case err != nil:
		return nil, 0, err
	case result == xdpDrop:
		return out, model.Drop, nil
	case result != xdpPass:
		return nil, 0, fmt.Errorf("from_container returned %d", result)
	}
	return runTC(programs.FixUpChecksum, out)
}

// wantUnchanged runs a frame through XDP alone, if the kernel cannot test tc with it.
// XDP must pass the frame unchanged.
func wantUnchanged(programs *datapath.Programs, dir rules.Direction, frame []byte) error {
	if dir == rules.Ingress || programs.FromContainer == nil {
		return nil
	}
	out, result, err := run(programs.FromContainer, frame)
	if err == nil && (result != xdpPass || !bytes.Equal(out, frame)) {
		err = fmt.Errorf("from_container returned %d and made %x of %x", result, out, frame)
	}
	return err
}

// fitsSKB reports whether the kernel builds an skb from the frame for a test run. It
// rejects truncated IP headers (net/bpf/test_run.c, bpf_prog_test_run_skb).
func fitsSKB(frame []byte) bool {
	switch binary.BigEndian.Uint16(frame[12:]) {
	case unix.ETH_P_IP:
		return len(frame) >= 14+20
	case unix.ETH_P_IPV6:
		return len(frame) >= 14+40
	}
	return true
}

func runTC(program *ebpf.Program, frame []byte) ([]byte, model.Verdict, error) {
	out, result, err := run(program, frame)
	switch {
	case err != nil:
		return nil, 0, err
	case result == tcxDrop:
		return out, model.Drop, nil
	case result != tcxNext:
		return nil, 0, fmt.Errorf("%s returned %d", program, result)
	}
	return out, model.Pass, nil
}

// run performs one test run in the kernel.
func run(program *ebpf.Program, frame []byte) (out []byte, result uint32, err error) {
	options := ebpf.RunOptions{Data: frame, DataOut: make([]byte, len(frame)+256)}
	result, err = program.Run(&options)
	return options.DataOut, result, err
}
