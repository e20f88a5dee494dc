package e2e

import (
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"

	"github.com/xdp-port/xdp-port/test/node"
	"github.com/xdp-port/xdp-port/test/pace"
)

// loaded is the programs and maps for a container's packets, by ascending ID.
type loaded struct {
	programs []ebpf.ProgramID
	maps     []ebpf.MapID
}

// attachedTo returns the programs on the host side of a container's interface, and their maps.
func attachedTo(t *testing.T, n *node.Node, c *node.Container) loaded {
	t.Helper()
	var l loaded
	onHostSide(t, n, c, func(device netlink.Link) error {
		l.programs = append(l.programs, ebpf.ProgramID(device.Attrs().Xdp.ProgId))
		attached, err := node.TCPrograms(device)
		l.programs = append(l.programs, attached...)
		return err
	})
	for _, id := range l.programs {
		program, err := ebpf.NewProgramFromID(id)
		must(t, err)
		info, err := program.Info()
		must(t, errors.Join(err, program.Close()))
		ids, _ := info.MapIDs()
		l.maps = append(l.maps, ids...)
	}
	slices.Sort(l.programs)
	slices.Sort(l.maps)
	l.maps = slices.Compact(l.maps)
	return l
}

func (l loaded) equal(other loaded) bool {
	return slices.Equal(l.programs, other.programs) && slices.Equal(l.maps, other.maps)
}

// remaining returns how many of the programs and maps still exist.
func (l loaded) remaining() (count int) {
	for _, id := range l.programs {
		if program, err := ebpf.NewProgramFromID(id); !errors.Is(err, os.ErrNotExist) {
			program.Close()
			count++
		}
	}
	for _, id := range l.maps {
		if m, err := ebpf.NewMapFromID(id); !errors.Is(err, os.ErrNotExist) {
			m.Close()
			count++
		}
	}
	return count
}

// TestSharing attaches two containers with the same rules. They must share all programs and maps, and
// the last DEL must unload them.
func TestSharing(t *testing.T) {
	n := node.ForTest(t)
	must(t, n.Conflist(network("bridge", "1.1.0", "auto", tutorial())))
	first, second := attach(t, n, "lab"), attach(t, n, "lab")
	shared := attachedTo(t, n, first)
	if len(shared.programs) != 3 || len(shared.maps) == 0 {
		t.Fatalf("%+v: there should be three programs, and maps", shared)
	}
	if other := attachedTo(t, n, second); !shared.equal(other) {
		t.Errorf("the containers have %+v and %+v", shared, other)
	}
	must(t, first.Detach("lab"))
	serve(t, n.Far, 7998)
	must(t, node.ExchangeUDP(second.NS, far("IPv4", 7999), node.Sizes(10, 0, 1000)))
	if got, want := shared.remaining(), len(shared.programs)+len(shared.maps); got != want {
		t.Errorf("%d of %d programs and maps are left for the second container", got, want)
	}
	must(t, second.Detach("lab"))
	for deadline := time.Now().Add(pace.Patience(5 * time.Second)); shared.remaining() > 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d programs and maps are left for nobody", shared.remaining())
		}
	}
}
