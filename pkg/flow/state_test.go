package flow_test

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/xdp-port/xdp-port/pkg/bpf"
	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/flow"
	"github.com/xdp-port/xdp-port/pkg/internal/bpftest"
	"github.com/xdp-port/xdp-port/pkg/internal/programtest"
	"github.com/xdp-port/xdp-port/pkg/rules"
	"github.com/xdp-port/xdp-port/test/packet"
)

// slotsWhere returns the slots of a bucket for which a condition holds.
func slotsWhere(bucket *bpf.ProgramsFlowBucket, holds func(slot int) bool) (slots []int) {
	for slot := range bucket.Tag {
		if holds(slot) {
			slots = append(slots, slot)
		}
	}
	return slots
}

func isExpiredIn(bucket *bpf.ProgramsFlowBucket, slot int, now uint32, tick time.Duration) bool {
	return now-bucket.Used[slot] > flow.PolicyOf(bucket.State[slot]).InJiffies(tick)
}

// roomFor returns the slots of which one is to make room for a flow of this owner: the
// free ones, or else those that have expired, or else one of the owner that would
// have the most flows: the one of the highest rank, and of several the oldest.
func roomFor(bucket *bpf.ProgramsFlowBucket, owner uint16, now uint32, tick time.Duration) []int {
	if free := slotsWhere(bucket, func(slot int) bool { return bucket.Tag[slot] == 0 }); free != nil {
		return free
	}
	if expired := slotsWhere(bucket, func(slot int) bool { return isExpiredIn(bucket, slot, now, tick) }); expired != nil {
		return expired
	}
	flows := map[uint16]int{owner: 1}
	for _, other := range bucket.Owner {
		flows[other]++
	}
	most := slices.Max(slices.Collect(maps.Values(flows)))
	candidates := slotsWhere(bucket, func(slot int) bool { return flows[bucket.Owner[slot]] == most })
	if flows[owner] == most {
		candidates = slotsWhere(bucket, func(slot int) bool { return bucket.Owner[slot] == owner })
	}
	byRank := func(a, b int) int {
		return cmp.Compare(flow.PolicyOf(bucket.State[a]).Rank(), flow.PolicyOf(bucket.State[b]).Rank())
	}
	first := slices.MaxFunc(candidates, func(a, b int) int {
		return cmp.Or(byRank(a, b), cmp.Compare(now-bucket.Used[a], now-bucket.Used[b]))
	})
	return slices.DeleteFunc(candidates, func(slot int) bool { // other owners may have as many, and as old ones
		return byRank(slot, first) != 0 || bucket.Used[slot] != bucket.Used[first]
	})
}

// randomBucket has flows of several containers in all states, none of which is about
// to expire.
func randomBucket(random *rand.Rand, now uint32, tick time.Duration) (bucket bpf.ProgramsFlowBucket) {
	for slot := range bucket.Tag {
		if random.IntN(40) > 0 {
			bucket.Tag[slot] = random.Uint32()<<1 | 1
		}
		idle := time.Duration(random.IntN(250))*time.Second + 500*time.Millisecond
		bucket.Used[slot] = now - uint32(idle/tick)
		bucket.State[slot] = uint8(random.IntN(128))
		bucket.Owner[slot] = uint16(bpftest.Loopback + random.IntN(1+random.IntN(8)))
		bucket.Flow[slot].Key.Ifindex = uint32(bucket.Owner[slot])
	}
	return bucket
}

// TestRoomIsMade has random full buckets take one flow more, and compares which one
// made room for it.
func TestRoomIsMade(t *testing.T) {
	bpftest.StayOnCPU(t)
	p, dir := programtest.Pinned(t, programtest.FlowPorts(1), datapath.Shared{})
	flows := programtest.Flows(t, dir)
	random := rand.New(rand.NewPCG(1, 2))
	var want datapath.Counters
	for i := range 2000 {
		now, tick, err := flow.Jiffies()
		if err != nil {
			t.Fatal(err)
		}
		before := randomBucket(random, now, tick)
		if err := flows.Put(uint32(0), &before); err != nil {
			t.Fatal(err)
		}
		programtest.Sent(t, p, bpftest.UDP(bpftest.Inside, uint16(1024+i), bpftest.Outside, 7999))
		var after bpf.ProgramsFlowBucket
		if err := flows.Lookup(uint32(0), &after); err != nil {
			t.Fatal(err)
		}
		filled := slotsWhere(&before, func(slot int) bool { return before.Flow[slot] != after.Flow[slot] })
		room := roomFor(&before, bpftest.Loopback, now, tick)
		if len(filled) != 1 || !slices.Contains(room, filled[0]) {
			t.Fatalf("bucket %d: slots %d made room, should be one of %d: %+v", i, filled, room, before)
		}
		if before.Tag[room[0]] != 0 {
			want.FlowsEvicted++
			if !isExpiredIn(&before, room[0], now, tick) {
				want.FlowsEvictedLive++
			}
		}
	}
	got, err := p.Counters(bpftest.Loopback)
	if err != nil || got.FlowsEvicted != want.FlowsEvicted || got.FlowsEvictedLive != want.FlowsEvictedLive {
		t.Errorf("counted %+v, %v, should be %+v", got, err, want)
	}
}

// TestFairShare has a container with an idle connection, in a bucket that a neighbour's
// flood fills, make flows itself: the neighbour's make room until both have as many,
// then the container's newer ones.
func TestFairShare(t *testing.T) {
	bpftest.StayOnCPU(t)
	p, dir := programtest.Pinned(t, programtest.FlowPorts(1), datapath.Shared{})
	flows := programtest.Flows(t, dir)
	now, tick, err := flow.Jiffies()
	if err != nil {
		t.Fatal(err)
	}
	const neighbour = bpftest.Loopback + 1
	var bucket bpf.ProgramsFlowBucket
	for slot := range bucket.Tag {
		bucket.Tag[slot], bucket.Used[slot] = uint32(slot)<<1|1, now
		bucket.Owner[slot], bucket.Flow[slot].Key.Ifindex = neighbour, neighbour
	}
	bucket.Owner[3], bucket.Flow[3].Key.Ifindex = bpftest.Loopback, bpftest.Loopback
	bucket.State[3] = uint8(bpf.ProgramsFlowStateFLOW_TCP | bpf.ProgramsFlowStateFLOW_ANSWERED | bpf.ProgramsFlowStateFLOW_ESTABLISHED)
	bucket.Used[3] -= uint32(time.Hour / tick)
	if err := flows.Put(uint32(0), &bucket); err != nil {
		t.Fatal(err)
	}
	for i := range uint16(20) {
		programtest.Sent(t, p, bpftest.UDP(bpftest.Inside, 5000+i, bpftest.Outside, 7999))
		var after bpf.ProgramsFlowBucket
		if err := flows.Lookup(uint32(0), &after); err != nil {
			t.Fatal(err)
		}
		if after.Flow[3] != bucket.Flow[3] {
			t.Fatalf("after %d flows the idle connection is gone: %+v", i+1, after)
		}
		own := slotsWhere(&after, func(slot int) bool { return after.Owner[slot] == bpftest.Loopback })
		if want := min(2+int(i), 4); len(own) != want {
			t.Fatalf("after %d flows the container has %d, should be %d", i+1, len(own), want)
		}
	}
}

// TestResetByPeer has a RST in the peer's name end what the container has finished, but
// no established connection: that makes room before UDP, and is there until then.
func TestResetByPeer(t *testing.T) {
	const established = bpf.ProgramsFlowStateFLOW_TCP | bpf.ProgramsFlowStateFLOW_ANSWERED | bpf.ProgramsFlowStateFLOW_ESTABLISHED
	const reset, finished = bpf.ProgramsFlowStateFLOW_RESET_PEER, bpf.ProgramsFlowStateFLOW_FIN_CONTAINER
	policy := func(state bpf.ProgramsFlowState) flow.Policy { return flow.PolicyOf(uint8(state)) }
	if got := policy(established | finished | reset).Lifetime(); got > 2*time.Minute {
		t.Errorf("finished by the container and reset: %s", got)
	}
	if got := policy(established | reset).Lifetime(); got != policy(established).Lifetime() {
		t.Errorf("reset in the peer's name: %s", got)
	}
	answered := policy(bpf.ProgramsFlowStateFLOW_ANSWERED)
	for _, state := range []bpf.ProgramsFlowState{established | reset, established | finished | reset} {
		if policy(state).Rank() <= answered.Rank() {
			t.Errorf("state %b makes room after answered UDP: %+v", state, policy(state))
		}
	}
	for _, state := range []bpf.ProgramsFlowState{established, established | finished} {
		if policy(state).Rank() >= answered.Rank() {
			t.Errorf("state %b makes room before answered UDP: %+v", state, policy(state))
		}
	}
}

// TestFlowStates follows a connection of either protocol from its first packet on,
// by what ReadFlows says of it.
func TestFlowStates(t *testing.T) {
	const syn, ack, fin, rst = 2, 16, 1, 4
	type segment struct {
		isReply          bool
		flags            byte
		sequence, number uint32
		want             flow.State
	}
	open := []segment{
		{false, syn, 100, 0, flow.Opening},
		{true, syn | ack, 900, 101, flow.Opening},
		{false, ack, 101, 1 << 31, flow.Opening}, // a guessed sequence number
		{false, ack, 101, 901, flow.Established},
	}
	for name, test := range map[string]struct {
		direction rules.Direction
		segments  []segment
	}{
		"both sides finish": {rules.Egress, []segment{
			{false, fin | ack, 101, 901, flow.Closing},
			{true, fin | ack, 901, 102, flow.Closed},
			{false, ack, 102, 902, flow.Closed},
			{false, syn, 500, 0, flow.Opening},
		}},
		"the container resets": {rules.Egress, []segment{
			{false, rst | ack, 101, 901, flow.Closed},
			{true, ack, 901, 101, flow.Closed},
			{false, ack, 101, 901, flow.Established}, // it did not
		}},
		"the peer resets": {rules.Egress, []segment{
			{true, rst | ack, 901, 101, flow.Closing}, {false, ack, 101, 901, flow.Established},
		}},
		"a SYN in the peer's name": {rules.Ingress, []segment{{false, syn, 1, 0, flow.Established}}},
		"a FIN in the peer's name": {rules.Ingress, []segment{{false, fin | ack, 1, 1, flow.Established}}},
		"the peer resets, and its port is used again": {rules.Ingress, []segment{
			{true, fin | ack, 901, 101, flow.Closing},
			{false, rst, 101, 0, flow.Closing},
			{false, syn, 5000, 0, flow.Closing},
			{true, syn | ack, 7000, 5001, flow.Opening},
			{false, ack, 5001, 1 << 31, flow.Opening},
			{false, ack, 5001, 7001, flow.Established},
		}},
		"a RST in the peer's name": {rules.Ingress, []segment{
			{false, rst, 1, 0, flow.Closing}, {true, ack, 901, 101, flow.Established},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			bpftest.StayOnCPU(t)
			port := func(p uint16) rules.PortRange { return rules.PortRange{First: p, Last: p} }
			p, dir := programtest.Pinned(t, &datapath.Ruleset{Mode: datapath.TC, Flows: 1024, Rules: []rules.Rule{
				{Name: "a", Direction: test.direction, Protocol: rules.TCP, Ports: port(80), To: port(8080)},
			}}, datapath.Shared{})
			client, server := bpftest.Inside, bpftest.Outside
			if test.direction == rules.Ingress {
				client, server = server, client
			}
			for i, s := range append(open, test.segments...) {
				load := packet.TCP{Source: 4000, Destination: 80, Flags: s.flags, Sequence: s.sequence, Acknowledged: s.number}
				segment := packet.Packet{Source: client, Destination: server, Load: load}
				if s.isReply {
					load.Source, load.Destination = 8080, 4000
					segment = packet.Packet{Source: server, Destination: client, Load: load}
				}
				if (test.direction == rules.Egress) != s.isReply {
					programtest.Sent(t, p, segment)
				} else {
					programtest.Received(t, p, segment)
				}
				flows, err := flow.Read(programtest.Flows(t, dir), bpftest.Loopback)
				if err != nil || len(flows) != 1 || flows[0].State != s.want {
					t.Fatalf("after segment %d: %+v, %v, should be %s", i, flows, err, s.want)
				}
			}
		})
	}
}

// TestPortsAreExhausted has all privileged ports be in use: the next connection finds
// none, and is dropped.
func TestPortsAreExhausted(t *testing.T) {
	programtest.EachMode(t, func(t *testing.T, mode datapath.Mode) {
		rs := programtest.FlowPorts(8192)
		rs.Mode = mode
		p, dir := programtest.Pinned(t, rs, datapath.Shared{})
		for port := uint16(1); port < 512; port++ {
			programtest.Sent(t, p, bpftest.UDP(bpftest.Inside, port, bpftest.Outside, 7999))
		}
		const dropped = 2 // both TC_ACT_SHOT and TCX_DROP; XDP_DROP is 1
		program, want := p.FromContainerTC, uint32(dropped)
		if mode == datapath.Generic {
			program, want = p.FromContainer, 1
		}
		if got, _ := bpftest.Run(t, program, bpftest.UDP(bpftest.Inside, 5, bpftest.Outside, 7997).Bytes()); got != want {
			t.Errorf("the program returned %d, should drop", got)
		}
		if moved := bpftest.MovedTo(t, programtest.Sent(t, p, bpftest.UDP(bpftest.Inside, 600, bpftest.Outside, 7999))); moved != 600 {
			t.Errorf("another one's source port is %d", moved)
		}
		got, err := p.Counters(bpftest.Loopback)
		if err != nil || got.PortsExhausted != 1 || got.PortsMoved != 0 || got.Dropped != 1 {
			t.Errorf("counted %+v, %v", got, err)
		}
		if flows, err := flow.Read(programtest.Flows(t, dir), bpftest.Loopback); len(flows) != 512 || err != nil {
			t.Errorf("%d flows, %v", len(flows), err)
		}
	})
}

// TestPrivilegedPortsStay has connections from ports of each of netfilter's ranges be
// moved: they stay in it.
func TestPrivilegedPortsStay(t *testing.T) {
	bpftest.StayOnCPU(t)
	p, _ := programtest.Pinned(t, programtest.FlowPorts(8192), datapath.Shared{})
	for _, source := range []uint16{1, 511, 512, 599, 600, 1023, 1024, 40000, 65535} {
		first, last := uint16(1024), uint16(65535)
		switch {
		case source < 512:
			first, last = 1, 511
		case source < 1024:
			first, last = 600, 1023
		}
		programtest.Sent(t, p, bpftest.UDP(bpftest.Inside, source, bpftest.Outside, 7999))
		moved := bpftest.MovedTo(t, programtest.Sent(t, p, bpftest.UDP(bpftest.Inside, source, bpftest.Outside, 7997)))
		if moved == source || moved < first || moved > last {
			t.Errorf("source port %d became %d, should be one of %d to %d", source, moved, first, last)
		}
	}
}

// TestExpiredFlows turns time back for a flow: it counts as gone, and another
// connection gets its ports; its own next packet has it live again.
func TestExpiredFlows(t *testing.T) {
	programtest.EachMode(t, func(t *testing.T, mode datapath.Mode) {
		rs := programtest.FlowPorts(1)
		rs.Mode = mode
		p, dir := programtest.Pinned(t, rs, datapath.Shared{})
		flows := programtest.Flows(t, dir)
		pass := func(by time.Duration) {
			t.Helper()
			tick, err := flow.ClockTick()
			var bucket bpf.ProgramsFlowBucket
			if err == nil {
				err = flows.Lookup(uint32(0), &bucket)
			}
			for i := range bucket.Used {
				bucket.Used[i] -= uint32(by / tick)
			}
			if err == nil {
				err = flows.Put(uint32(0), &bucket)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		ask, asked := bpftest.UDP(bpftest.Inside, 4000, bpftest.Outside, 7999), bpftest.UDP(bpftest.Inside, 4000, bpftest.Outside, 7998)
		reply, restored := bpftest.UDP(bpftest.Outside, 7998, bpftest.Inside, 4000), bpftest.UDP(bpftest.Outside, 7999, bpftest.Inside, 4000)
		for range 2 {
			programtest.Want(t, "forward", programtest.Sent(t, p, ask), asked)
		}
		pass(31 * time.Second)
		programtest.Want(t, "reply after 31 s", programtest.Received(t, p, reply), reply)
		for range 2 {
			programtest.Want(t, "forward", programtest.Sent(t, p, ask), asked)
			programtest.Want(t, "reply", programtest.Received(t, p, reply), restored)
		}
		pass(170 * time.Second)
		for range 2 {
			programtest.Want(t, "reply after 170 s", programtest.Received(t, p, reply), restored)
		}
		pass(181 * time.Second)
		programtest.Want(t, "reply after 181 s", programtest.Received(t, p, reply), reply)
		programtest.Want(t, "another connection", programtest.Sent(t, p, bpftest.UDP(bpftest.Inside, 4000, bpftest.Outside, 7997)), asked)
		programtest.Want(t, "its reply", programtest.Received(t, p, reply), bpftest.UDP(bpftest.Outside, 7997, bpftest.Inside, 4000))
		moved := bpftest.MovedTo(t, programtest.Sent(t, p, ask))
		programtest.Want(t, "the first one's reply", programtest.Received(t, p, bpftest.UDP(bpftest.Outside, 7998, bpftest.Inside, moved)), restored)
		if moved == 4000 {
			t.Error("the first one has the ports of the other one")
		}
		pass(31 * time.Second)
		programtest.Want(t, "forward, with the same port", programtest.Sent(t, p, ask), bpftest.UDP(bpftest.Inside, moved, bpftest.Outside, 7998))
	})
}

// TestDirectReplies has rules of its own direction decide a reply of a connection that
// no rule is about, also where its source port was changed.
func TestDirectReplies(t *testing.T) {
	programtest.EachMode(t, func(t *testing.T, mode datapath.Mode) {
		rs := programtest.FlowPorts(1024)
		rs.Mode = mode
		rs.Rules = append(rs.Rules, rules.Rule{
			Name: "in", Direction: rules.Ingress, Protocol: rules.UDP, Ports: rules.PortRange{First: 4000, Last: 4001}, Action: rules.Drop,
		})
		p, _ := programtest.Pinned(t, rs, datapath.Shared{})
		direct := bpftest.UDP(bpftest.Inside, 4000, bpftest.Outside, 7998)
		drops := func(what string, wire uint16) {
			t.Helper()
			if got, _ := bpftest.Run(t, p.ToContainer, bpftest.UDP(bpftest.Outside, 7998, bpftest.Inside, wire).Bytes()); got != 2 {
				t.Errorf("%s: the program returned %d, should drop", what, got)
			}
		}
		programtest.Want(t, "direct", programtest.Sent(t, p, direct), direct)
		drops("reply", 4000)
		other := bpftest.MovedTo(t, programtest.Sent(t, p, bpftest.UDP(bpftest.Inside, 4000, bpftest.Outside, 7999)))
		programtest.Want(t, "reply by the rule", programtest.Received(t, p, bpftest.UDP(bpftest.Outside, 7998, bpftest.Inside, other)), bpftest.UDP(bpftest.Outside, 7999, bpftest.Inside, 4000))
		programtest.Want(t, "rewritten", programtest.Sent(t, p, bpftest.UDP(bpftest.Inside, 4001, bpftest.Outside, 7999)), bpftest.UDP(bpftest.Inside, 4001, bpftest.Outside, 7998))
		programtest.Want(t, "one to 4001", programtest.Received(t, p, bpftest.UDP(bpftest.Outside, 7998, bpftest.Inside, 4001)), bpftest.UDP(bpftest.Outside, 7999, bpftest.Inside, 4001))
		moved := bpftest.MovedTo(t, programtest.Sent(t, p, bpftest.UDP(bpftest.Inside, 4001, bpftest.Outside, 7998)))
		if moved == 4001 {
			t.Error("two connections have the same ports")
		}
		drops("reply to the port before the change", moved)
	})
}

// TestEvictedAlias evicts the alias of a moved connection. Replies restore it, so the
// connection keeps its port.
func TestEvictedAlias(t *testing.T) {
	bpftest.StayOnCPU(t)
	p, dir := programtest.Pinned(t, programtest.FlowPorts(1), datapath.Shared{})
	flows := programtest.Flows(t, dir)
	programtest.Sent(t, p, bpftest.UDP(bpftest.Inside, 4000, bpftest.Outside, 7999))
	moved := bpftest.MovedTo(t, programtest.Sent(t, p, bpftest.UDP(bpftest.Inside, 4000, bpftest.Outside, 7997)))
	programtest.Received(t, p, bpftest.UDP(bpftest.Outside, 7998, bpftest.Inside, moved))
	var bucket bpf.ProgramsFlowBucket
	if err := flows.Lookup(uint32(0), &bucket); err != nil {
		t.Fatal(err)
	}
	aliases := slotsWhere(&bucket, func(slot int) bool { return bucket.Tag[slot] != 0 && bucket.Flow[slot].Key.Alias != 0 })
	if len(aliases) != 1 {
		t.Fatalf("%d aliases", len(aliases))
	}
	bucket.Tag[aliases[0]] = 0
	bucket.Version += 0x200 // twice BUCKET_VERSION_STEP, as after a write
	if err := flows.Put(uint32(0), &bucket); err != nil {
		t.Fatal(err)
	}
	programtest.Want(t, "reply", programtest.Received(t, p, bpftest.UDP(bpftest.Outside, 7998, bpftest.Inside, moved)), bpftest.UDP(bpftest.Outside, 7997, bpftest.Inside, 4000))
	if got := bpftest.MovedTo(t, programtest.Sent(t, p, bpftest.UDP(bpftest.Inside, 4000, bpftest.Outside, 7997))); got != moved {
		t.Errorf("the connection on port %d goes on from %d", moved, got)
	}
}

// TestClockWraps has flows be idle for so long that their age looks like a time to come.
func TestClockWraps(t *testing.T) {
	bpftest.StayOnCPU(t)
	p, dir := programtest.Pinned(t, programtest.FlowPorts(1), datapath.Shared{})
	flows := programtest.Flows(t, dir)
	programtest.Sent(t, p, bpftest.UDP(bpftest.Inside, 4000, bpftest.Outside, 7999))
	var bucket bpf.ProgramsFlowBucket
	if err := flows.Lookup(uint32(0), &bucket); err != nil {
		t.Fatal(err)
	}
	for slot := range bucket.Used {
		bucket.Used[slot] -= 1<<31 + 1000
	}
	if err := flows.Put(uint32(0), &bucket); err != nil {
		t.Fatal(err)
	}
	list, err := flow.Read(programtest.Flows(t, dir), bpftest.Loopback)
	if err != nil || len(list) != 1 || !list[0].IsExpired {
		t.Errorf("%+v, %v, should have expired", list, err)
	}
	if got := original(t, p, 4000); got != 7998 {
		t.Errorf("the flow is live: the reply comes from %d", got)
	}
}
