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

// TestCycles attaches and detaches containers repeatedly, some at the same time, so that
// their ruleset is sometimes unloaded. Memory must not grow.
func TestCycles(t *testing.T) {
	const workers = 4
	cycles := size(240, 10000) / workers
	n, containers := newNode(t, workers)
	group := enterGroup(t)
	must(t, cycle(containers[0], "tcx", 5)) // some memory is allocated only once
	// A leak grows each time. Other processes allocate only once.
	const attempts = 3
	for range attempts {
		before, charged := takeStock(t), group.usage()
		cycleAll(t, n, containers, cycles)
		after, isAsBefore := waitForCleanUp(t, before)
		t.Logf("%d cycles of ADD and DEL\nbefore: %s, charged %d KiB\nafter:  %s, charged %d KiB",
			workers*cycles, before, charged>>10, after, group.usage()>>10)
		if isAsBefore {
			return
		}
	}
	t.Errorf("memory was not as before, %d times", attempts)
}

// cycleAll runs the cycles and expects no state of xdp-port afterwards.
func cycleAll(t *testing.T, n *node.Node, containers []*node.Container, cycles int) {
	t.Helper()
	var all sync.WaitGroup
	errs := make([]error, len(containers))
	for i, c := range containers {
		all.Go(func() { errs[i] = cycle(c, []string{"tcx", "clsact"}[i%2], cycles) })
	}
	all.Wait()
	must(t, errors.Join(errs...))
	must(t, node.Snapshot{}.Unchanged())
	mustGo(t)
	for _, c := range containers {
		must(t, n.Unattached(c.HostSide))
	}
}

func cycle(c *node.Container, hook string, cycles int) error {
	for i := range cycles {
		for _, operation := range []string{"ADD", "DEL"} {
			if err := run(c, operation, config(hook)); err != nil {
				return fmt.Errorf("cycle %d: %w", i, err)
			}
		}
	}
	return nil
}

// stock counts the kernel objects of the whole machine that the plugin uses. Other
// processes change it too.
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

// slack is the growth of memory that other processes and the kernel's caches may cause.
// The plugin's own objects are counted exactly; this is for memory behind them.
const slack = 24 << 10 // KiB

// waitForCleanUp waits for the kernel to clean up, and reports whether the memory is as
// before.
func waitForCleanUp(t *testing.T, before stock) (after stock, isAsBefore bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Second) {
		after = takeStock(t)
		isAsBefore = after.slab-before.slab < slack && after.perCPU-before.perCPU < slack
		if isAsBefore || time.Now().After(deadline) {
			return after, isAsBefore
		}
	}
}
