package datapath_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/xdp-port/xdp-port/pkg/bpf"
	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/internal/bpftest"
	"github.com/xdp-port/xdp-port/pkg/internal/programtest"
)

// runOn is run for a tc program and a packet of a device.
func runOn(t *testing.T, program *ebpf.Program, ifindex uint32, frame []byte) []byte {
	t.Helper()
	const ifindexWord = 10 // struct __sk_buff
	var context [ifindexWord + 1]uint32
	context[ifindexWord] = ifindex
	options := ebpf.RunOptions{Data: frame, DataOut: make([]byte, len(frame)+256), Context: &context}
	if _, err := program.Run(&options); err != nil {
		t.Fatal(err)
	}
	return options.DataOut
}

// pair are two devices of which only one finds a place for fast-path counters.
type pair struct {
	*datapath.Programs
	dir           datapath.Dir
	first, second uint32
}

func fastPair(t *testing.T) pair {
	t.Helper()
	p, dir := programtest.Pinned(t, programtest.FlowPorts(1024), datapath.Shared{})
	const first = 700
	second := first + p.FastCounterOwners().MaxEntries() // fewer places where there may be many CPUs
	bpftest.Devices(t, first, int(second))
	return pair{p, dir, first, second}
}

// send sends packets that are rewritten from a device.
func (p pair) send(t *testing.T, ifindex uint32, count int) {
	t.Helper()
	ask, after := bpftest.UDP(bpftest.Inside, 4000, bpftest.Outside, 7999), bpftest.UDP(bpftest.Inside, 4000, bpftest.Outside, 7998)
	for range count {
		programtest.Want(t, "of an enabled device", runOn(t, p.FromContainerTC, ifindex, ask.Bytes()), after)
	}
}

func (p pair) wantDisabled(t *testing.T, ifindex uint32) {
	t.Helper()
	ask := bpftest.UDP(bpftest.Inside, 4000, bpftest.Outside, 7999).Bytes()
	if got := runOn(t, p.FromContainerTC, ifindex, ask); !bytes.Equal(got, ask) {
		t.Errorf("the device %d is enabled", ifindex)
	}
	if got, err := p.Counters(int(ifindex)); !errors.Is(err, ebpf.ErrKeyNotExist) {
		t.Errorf("the device %d has counters: %+v, %v", ifindex, got, err)
	}
}

func (p pair) wantCounted(t *testing.T, ifindex uint32, count uint64) {
	t.Helper()
	// As a process that opens the pins does, too.
	opened, err := p.dir.Open(datapath.Hooks{})
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	for _, programs := range []*datapath.Programs{p.Programs, opened} {
		got, err := programs.Counters(int(ifindex))
		if err != nil {
			t.Fatal(err)
		}
		if got.Rewritten != count || got.Rules[0].Packets != count {
			t.Errorf("the device %d counted %+v, should be %d packets", ifindex, got, count)
		}
	}
}

func (p pair) wantOwner(t *testing.T, owner uint32) {
	t.Helper()
	if got, err := p.FastCounterOwner(p.first); got != owner || err != nil {
		t.Errorf("the place is of device %d, %v, should be of %d", got, err, owner)
	}
}

func (p pair) activate(t *testing.T, ifindex uint32) {
	t.Helper()
	if err := p.Activate(ifindex); err != nil {
		t.Fatal(err)
	}
}

func (p pair) deactivate(t *testing.T, ifindex uint32) {
	t.Helper()
	if err := p.dir.Deactivate(int(ifindex)); err != nil {
		t.Fatal(err)
	}
}

// TestFastCounterPlaceOfTwo has two devices that would have the same place come and go.
func TestFastCounterPlaceOfTwo(t *testing.T) {
	p := fastPair(t)
	p.wantDisabled(t, p.first)
	p.activate(t, p.first)
	p.wantDisabled(t, p.second)
	p.activate(t, p.second)
	p.wantOwner(t, p.first)
	p.send(t, p.first, 3)
	p.send(t, p.second, 5)
	p.wantCounted(t, p.first, 3)
	p.wantCounted(t, p.second, 5)

	p.deactivate(t, p.first)
	p.wantDisabled(t, p.first)
	p.send(t, p.second, 2)
	p.wantCounted(t, p.second, 7)

	p.activate(t, p.first) // the place is free again, and at zero
	p.wantOwner(t, p.first)
	p.wantCounted(t, p.first, 0)
	p.send(t, p.first, 4)
	p.wantCounted(t, p.first, 4)
	p.wantCounted(t, p.second, 7)

	p.deactivate(t, p.first)
	p.activate(t, p.second) // again: from zero, now with the place
	p.wantOwner(t, p.second)
	p.wantCounted(t, p.second, 0)
	p.activate(t, p.first)
	p.send(t, p.second, 6)
	p.send(t, p.first, 1)
	p.wantCounted(t, p.second, 6)
	p.wantCounted(t, p.first, 1)
	p.deactivate(t, p.second)
	p.wantDisabled(t, p.second)
	p.deactivate(t, p.first)
	p.wantDisabled(t, p.first)
	p.wantOwner(t, 0)
}

// TestFastCounterPlaceTwice activates a device that is enabled already.
func TestFastCounterPlaceTwice(t *testing.T) {
	p := fastPair(t)
	p.activate(t, p.first)
	p.send(t, p.first, 3)
	p.activate(t, p.first)
	p.wantOwner(t, p.first)
	p.wantCounted(t, p.first, 0)
	p.send(t, p.first, 2)
	p.wantCounted(t, p.first, 2)
	p.deactivate(t, p.first)
	p.deactivate(t, p.first) // nothing left to do
	p.wantDisabled(t, p.first)
}

// TestFastCounterPlaceOfKilled has processes die between the steps of Activate and
// Deactivate: a device that is in `counters` is enabled, and counted right.
func TestFastCounterPlaceOfKilled(t *testing.T) {
	p := fastPair(t)
	if _, err := p.PrepareFastCounters(p.first); err != nil {
		t.Fatal(err)
	}
	p.wantDisabled(t, p.first)
	if err := p.Maps()[bpf.ProgramsMapCounters].Put(p.first, datapath.Entry(p.Maps()[bpf.ProgramsMapCounters], 0)); err != nil {
		t.Fatal(err)
	}
	p.send(t, p.first, 2)
	p.wantCounted(t, p.first, 2)
	if err := p.TakeFastCounters(p.first); err != nil {
		t.Fatal(err)
	}
	p.send(t, p.first, 3)
	p.wantCounted(t, p.first, 5)
	if err := datapath.LeaveFastCounters(p.dir, p.first); err != nil {
		t.Fatal(err)
	}
	p.send(t, p.first, 1)
	p.deactivate(t, p.first)
	p.wantDisabled(t, p.first)
}

// TestFastCounterPlaceWithoutPins has another program remove pins of the maps: as long as the
// devices' one is there, no device stays enabled after DEL.
func TestFastCounterPlaceWithoutPins(t *testing.T) {
	p := fastPair(t)
	p.activate(t, p.first)
	p.send(t, p.first, 1)
	if err := os.Remove(filepath.Join(string(p.dir), bpf.PinName(bpf.ProgramsMapFastCounters))); err != nil {
		t.Fatal(err)
	}
	if _, err := p.dir.OpenWhole(datapath.Hooks{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("that was not seen: %v", err)
	}
	p.deactivate(t, p.first)
	p.wantDisabled(t, p.first)
}

// TestFastCounterPlaceIsNotHad has the place refused when the rules are in force already:
// that is no error, by which they would be taken for not being so.
func TestFastCounterPlaceIsNotHad(t *testing.T) {
	p := fastPair(t)
	p.activate(t, p.first)
	p.deactivate(t, p.first)
	if err := p.FastCounterOwners().Freeze(); err != nil {
		t.Fatal(err)
	}
	p.activate(t, p.first)
	p.send(t, p.first, 3)
	p.wantCounted(t, p.first, 3)
	p.deactivate(t, p.first)
	p.wantDisabled(t, p.first)
}

// TestFastCounterSizes has counters of no two CPUs in one line of the cache, and as many
// places as there is memory for, down to one.
func TestFastCounterSizes(t *testing.T) {
	for _, size := range []struct{ rules, cpus int }{{1, 1}, {1, 2}, {2, 128}, {3, 8192}, {100, 4}, {1024, 256}} {
		spec, err := bpf.LoadPrograms()
		if err != nil {
			t.Fatal(err)
		}
		if err := datapath.SizeFastCounters(spec, size.rules, size.cpus); err != nil {
			t.Fatal(err)
		}
		counters, places := spec.Maps[bpf.ProgramsMapFastCounters], spec.Maps[bpf.ProgramsMapFastCounterOwners].MaxEntries
		used := 56 + 16*size.rules
		if gap := int(counters.ValueSize) - used; gap < datapath.CacheLine-1 {
			t.Errorf("%+v: between two CPUs' counters are %d bytes", size, gap)
		}
		if places&(places-1) != 0 || counters.MaxEntries != places*uint32(size.cpus) {
			t.Errorf("%+v: %d places, %d counters", size, places, counters.MaxEntries)
		}
		bytes := int(places) * int(counters.ValueSize)
		if places > 1 && (bytes > datapath.FastBytes || bytes*size.cpus > datapath.FastBytesInAll) {
			t.Errorf("%+v: %d bytes for each CPU", size, bytes)
		}
	}
}
