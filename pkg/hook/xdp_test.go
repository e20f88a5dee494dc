package hook

import (
	"errors"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"github.com/xdp-port/xdp-port/pkg/bpf"
	"github.com/xdp-port/xdp-port/pkg/internal/bpftest"
)

func xdpProgram(t *testing.T, name string) *ebpf.Program {
	t.Helper()
	const pass = 2
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: name, Type: ebpf.XDP, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, pass), asm.Return()},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	return program
}

// TestAttachXDPWaitsForOurs has a program of xdp-port hold the slot for some more
// milliseconds, in the same mode and in the other, as after its process was killed.
func TestAttachXDPWaitsForOurs(t *testing.T) {
	const index = 700
	bpftest.Devices(t, index)
	dev := Device{Index: index, Name: "device700"}
	ours, desired := xdpProgram(t, bpf.ProgramsProgFromContainer), xdpProgram(t, "desired")
	for _, before := range []link.XDPAttachFlags{link.XDPGenericMode, link.XDPDriverMode} {
		const rounds = 10 // in some, a busy machine lets the link be closed too late
		waited := 0
		for range rounds {
			held, err := attachXDP(dev, ours, before)
			if err != nil {
				t.Fatal(err)
			}
			closed := make(chan error)
			go func() {
				time.Sleep(busyPause)
				closed <- held.Close()
			}()
			got, err := attachXDP(dev, desired, link.XDPGenericMode)
			if err == nil {
				waited++
				err = got.Close()
			}
			if err := errors.Join(<-closed, err); err != nil {
				t.Log(err)
			}
		}
		if waited == 0 {
			t.Errorf("mode %d: in none of %d rounds the program of xdp-port was waited for", before, rounds)
		}
	}
}

// TestAttachXDPNamesForeigner has a program stay: it is named, ours as such.
func TestAttachXDPNamesForeigner(t *testing.T) {
	const index = 700
	bpftest.Devices(t, index)
	dev := Device{Index: index, Name: "device700"}
	for _, name := range []string{"foreign", bpf.ProgramsProgFromContainer} {
		held, err := link.AttachXDP(link.XDPOptions{
			Program: xdpProgram(t, name), Interface: index, Flags: link.XDPGenericMode,
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = attachXDP(dev, xdpProgram(t, "desired"), link.XDPGenericMode)
		var foreign *ForeignError
		if !errors.As(err, &foreign) || foreign.Name != name || foreign.isOurs() != (name != "foreign") {
			t.Errorf("%q in the way is %v", name, err)
		}
		if err := errors.Join(held.Close(), leftXDP(dev)); err != nil {
			t.Fatal(err)
		}
	}
}

// leftXDP waits for the device to have no program, and names one that stays.
func leftXDP(dev Device) error {
	for try := 1; ; try++ {
		left := ForeignXDP(dev)
		if left == nil {
			return nil
		}
		if try == 1000 {
			return left
		}
		time.Sleep(busyPause)
	}
}
