package load

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/xdp-port/xdp-port/test/node"
)

// TestCycles attaches and detaches containers again and again, a few at the same
// time, so that their ruleset now stays and now goes. Nothing may pile up.
func TestCycles(t *testing.T) {
	const workers = 4
	cycles := size(240, 10000) / workers
	n, containers := newNode(t, workers)
	group := enterGroup(t)
	must(t, cycle(n, containers[0], "tcx", 5)) // what is only ever taken once
	// What piles up does so each time; what others take meanwhile, they take once.
	const attempts = 3
	for range attempts {
		before, charged := takeStock(t), group.usage()
		cycleAll(t, n, containers, cycles)
		after, settled := settle(t, before)
		t.Logf("%d cycles of ADD and DEL\nbefore: %s, charged %d KiB\nafter:  %s, charged %d KiB",
			workers*cycles, before, charged>>10, after, group.usage()>>10)
		if settled {
			return
		}
	}
	t.Errorf("memory was not as before, %d times", attempts)
}

// cycleAll wants nothing of xdp-port left afterwards.
func cycleAll(t *testing.T, n *node.Node, containers []*node.Container, cycles int) {
	t.Helper()
	var all sync.WaitGroup
	errs := make([]error, len(containers))
	for i, c := range containers {
		all.Go(func() { errs[i] = cycle(n, c, []string{"tcx", "clsact"}[i%2], cycles) })
	}
	all.Wait()
	must(t, errors.Join(errs...))
	must(t, node.Snapshot{}.Unchanged())
	mustGo(t)
	for _, c := range containers {
		must(t, n.Unattached(c.HostSide))
	}
}

func cycle(n *node.Node, c *node.Container, hook string, cycles int) error {
	for i := range cycles {
		for _, verb := range []string{"ADD", "DEL"} {
			if err := run(n, c, verb, config(hook)); err != nil {
				return fmt.Errorf("cycle %d: %w", i, err)
			}
		}
	}
	return nil
}

// stock is what the whole machine has of what the plugin uses. Other processes
// change it, too.
type stock struct {
	programs, maps, links int
	files                 int64 // open ones
	slab, perCPU          int64 // KiB that cannot be reclaimed
}

func (s stock) String() string {
	return fmt.Sprintf("%d programs, %d maps, %d links, %d open files, %d KiB of slab, %d KiB per CPU",
		s.programs, s.maps, s.links, s.files, s.slab, s.perCPU)
}

func takeStock(t *testing.T) (s stock) {
	t.Helper()
	for id := ebpf.ProgramID(0); ; s.programs++ {
		next, err := ebpf.ProgramGetNextID(id)
		if errors.Is(err, os.ErrNotExist) {
			break
		}
		must(t, err)
		id = next
	}
	for id := ebpf.MapID(0); ; s.maps++ {
		next, err := ebpf.MapGetNextID(id)
		if errors.Is(err, os.ErrNotExist) {
			break
		}
		must(t, err)
		id = next
	}
	links := new(link.Iterator)
	for links.Next() {
		s.links++
	}
	links.Close()
	must(t, links.Err())
	text, err := os.ReadFile("/proc/sys/fs/file-nr")
	must(t, err)
	s.files = number(strings.Fields(string(text))[0])
	info := memoryInfo(t)
	s.slab, s.perCPU = info["SUnreclaim"], info["Percpu"]
	return s
}

func memoryInfo(t *testing.T) map[string]int64 {
	t.Helper()
	file, err := os.Open("/proc/meminfo")
	must(t, err)
	defer file.Close()
	info := map[string]int64{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ":")
		info[name] = number(strings.TrimSuffix(value, " kB"))
	}
	return info
}

// slack is how much more memory may be in use after the cycles than before, by
// other processes and the kernel's caches. What the plugin makes in the kernel
// is counted exactly; this is for what hangs on it.
const slack = 24 << 10 // KiB

// settle waits for the kernel to clean up, and tells whether the memory is as
// before.
func settle(t *testing.T, before stock) (after stock, settled bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Second) {
		after = takeStock(t)
		settled = after.slab-before.slab < slack && after.perCPU-before.perCPU < slack
		if settled || time.Now().After(deadline) {
			return after, settled
		}
	}
}
