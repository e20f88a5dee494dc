package datapath_test

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/bpf"
	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/internal/bpftest"
	"github.com/xdp-port/xdp-port/pkg/internal/programtest"
	"github.com/xdp-port/xdp-port/pkg/pin"
	"github.com/xdp-port/xdp-port/test/pace"
)

// TestCachedDecisionOfFlowJustEvicted has one CPU evict a flow while the other one sees
// its first reply: no decision is cached by a flow that is gone.
func TestCachedDecisionOfFlowJustEvicted(t *testing.T) {
	bpftest.NeedRoot(t)
	var cpus unix.CPUSet
	if err := unix.SchedGetaffinity(0, &cpus); err != nil || cpus.Count() < 2 {
		t.Skipf("needs two CPUs: %v", err)
	}
	bpftest.StayOnCPU(t)
	p, dir := programtest.Pinned(t, programtest.FlowPorts(1), datapath.Shared{})
	flows := programtest.Flows(t, dir)
	cache, err := pin.OpenMap(string(dir), bpf.ProgramsMapCachedDecisions)
	if err != nil {
		t.Fatal(err)
	}
	defer cache.Close()
	ask := bpftest.UDP(bpftest.Inside, 4000, bpftest.Outside, 7999)
	reply := bpftest.UDP(bpftest.Outside, 7998, bpftest.Inside, 4000).Bytes()

	evictor := newEvictor(t, p, otherCPU(t, &cpus))
	at := uint32(0)
	const rounds = 20000
	for round := range uint32(pace.Share(int64(rounds))) {
		bucket := fullButOne(round + 1)
		if err := flows.Put(uint32(0), &bucket); err != nil {
			t.Fatal(err)
		}
		programtest.Sent(t, p, ask)
		if round == 0 {
			bpftest.Run(t, p.ToContainer, reply)
			at = cachedAt(t, cache, 7998, 4000)
			continue
		}
		evictor.start()
		bpftest.Run(t, p.ToContainer, reply)
		evictor.wait()
		var cached bpf.ProgramsCachedDecision
		if err := cache.Lookup(at, &cached); err != nil {
			t.Fatal(err)
		}
		if err := flows.Lookup(uint32(0), &bucket); err != nil {
			t.Fatal(err)
		}
		if cached.FlowVersion == bucket.Version && !hasFlowFrom(&bucket, 4000) {
			t.Fatalf("round %d: a decision is cached for a flow that is gone", round)
		}
	}
}

// fullButOne is a bucket with established connections and one free slot, so that the
// next flow is there, and is the next one to be evicted.
func fullButOne(round uint32) (bucket bpf.ProgramsFlowBucket) {
	const established, step = 7, 0x1000
	for slot := range bucket.Tag[1:] {
		bucket.Tag[slot], bucket.State[slot], bucket.Owner[slot] = uint32(slot)<<1|1, established, bpftest.Loopback
	}
	bucket.Version = round * step // later than those before
	return bucket
}

func hasFlowFrom(bucket *bpf.ProgramsFlowBucket, port uint16) bool {
	for slot, tag := range bucket.Tag {
		if tag != 0 && bpf.PortsOf(bucket.Flow[slot].Key.Ports).Source == port {
			return true
		}
	}
	return false
}

// cachedAt returns the place of the cached decision for a packet with these ports.
func cachedAt(t *testing.T, cache *ebpf.Map, source, destination uint16) (at uint32) {
	t.Helper()
	ports := uint32(bpftest.FromNetwork(destination))<<16 | uint32(bpftest.FromNetwork(source))
	var cached bpf.ProgramsCachedDecision
	for entries := cache.Iterate(); entries.Next(&at, &cached); {
		if cached.Ports == ports {
			return at
		}
	}
	t.Fatal("the decision is not cached")
	return 0
}

func otherCPU(t *testing.T, cpus *unix.CPUSet) (set unix.CPUSet) {
	t.Helper()
	var here unix.CPUSet
	if err := unix.SchedGetaffinity(0, &here); err != nil {
		t.Fatal(err)
	}
	for cpu := range 1024 {
		if cpus.IsSet(cpu) && !here.IsSet(cpu) {
			set.Set(cpu)
			return set
		}
	}
	t.Fatal("no other CPU")
	return set
}

// evictor begins a flow on another CPU, a random time after each start.
type evictor struct {
	started, done atomic.Uint32
}

func newEvictor(t *testing.T, p *datapath.Programs, cpu unix.CPUSet) *evictor {
	e, stop := &evictor{}, atomic.Bool{}
	var group sync.WaitGroup
	group.Go(func() {
		runtime.LockOSThread() // and never unlocks: the thread ends with the goroutine
		if err := unix.SchedSetaffinity(0, &cpu); err != nil {
			t.Error(err)
		}
		frame := bpftest.UDP(bpftest.Inside, 5000, bpftest.Outside, 7999).Bytes()
		for !stop.Load() {
			if e.started.Load() == e.done.Load() {
				continue
			}
			for range rand.IntN(2000) {
				_ = e.started.Load()
			}
			if _, err := p.FromContainerTC.Run(&ebpf.RunOptions{Data: frame}); err != nil {
				t.Error(err)
			}
			e.done.Add(1)
		}
	})
	t.Cleanup(func() { stop.Store(true); group.Wait() })
	return e
}

func (e *evictor) start() { e.started.Add(1) }

func (e *evictor) wait() {
	for e.done.Load() != e.started.Load() {
		runtime.Gosched()
	}
}
