package datapath

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/xdp-port/xdp-port/pkg/rules"
	"github.com/xdp-port/xdp-port/test/packet"
)

// slotsOf returns the slots of a bucket for which a condition holds.
func slotsOf(bucket *programsFlowBucket, holds func(slot int) bool) (slots []int) {
	for slot := range bucket.Tag {
		if holds(slot) {
			slots = append(slots, slot)
		}
	}
	return slots
}

func isExpiredIn(bucket *programsFlowBucket, slot int, now uint32, tick time.Duration) bool {
	return now-bucket.Used[slot] > policyOf(bucket.State[slot]).jiffies(tick)
}

// roomFor returns the slots of which one is to make room for a flow of this owner: the
// free ones, or else those that have expired, or else one of the owner that would
// have the most flows: the one of the highest rank, and of several the oldest.
func roomFor(bucket *programsFlowBucket, owner uint16, now uint32, tick time.Duration) []int {
	if free := slotsOf(bucket, func(slot int) bool { return bucket.Tag[slot] == 0 }); free != nil {
		return free
	}
	if expired := slotsOf(bucket, func(slot int) bool { return isExpiredIn(bucket, slot, now, tick) }); expired != nil {
		return expired
	}
	flows := map[uint16]int{owner: 1}
	for _, other := range bucket.Owner {
		flows[other]++
	}
	most := slices.Max(slices.Collect(maps.Values(flows)))
	candidates := slotsOf(bucket, func(slot int) bool { return flows[bucket.Owner[slot]] == most })
	if flows[owner] == most {
		candidates = slotsOf(bucket, func(slot int) bool { return bucket.Owner[slot] == owner })
	}
	byRank := func(a, b int) int {
		return cmp.Compare(policyOf(bucket.State[a]).rank, policyOf(bucket.State[b]).rank)
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
func randomBucket(random *rand.Rand, now uint32, tick time.Duration) (bucket programsFlowBucket) {
	for slot := range bucket.Tag {
		if random.IntN(40) > 0 {
			bucket.Tag[slot] = random.Uint32()<<1 | 1
		}
		idle := time.Duration(random.IntN(250))*time.Second + 500*time.Millisecond
		bucket.Used[slot] = now - uint32(idle/tick)
		bucket.State[slot] = uint8(random.IntN(128))
		bucket.Owner[slot] = uint16(loopback + random.IntN(1+random.IntN(8)))
		bucket.Flow[slot].Key.Ifindex = uint32(bucket.Owner[slot])
	}
	return bucket
}

// TestRoomIsMade has random full buckets take one flow more, and compares which one
// made room for it.
func TestRoomIsMade(t *testing.T) {
	stayOnCPU(t)
	p, dir := pinned(t, flowPorts(1), Shared{})
	flows := openedFlows(t, dir)
	random := rand.New(rand.NewPCG(1, 2))
	var want Counters
	for i := range 2000 {
		now, tick, err := jiffies()
		if err != nil {
			t.Fatal(err)
		}
		before := randomBucket(random, now, tick)
		if err := flows.Put(uint32(0), &before); err != nil {
			t.Fatal(err)
		}
		sent(t, p, udp(inside, uint16(1024+i), outside, 7999))
		var after programsFlowBucket
		if err := flows.Lookup(uint32(0), &after); err != nil {
			t.Fatal(err)
		}
		filled := slotsOf(&before, func(slot int) bool { return before.Flow[slot] != after.Flow[slot] })
		room := roomFor(&before, loopback, now, tick)
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
	got, err := p.Counters(loopback)
	if err != nil || got.FlowsEvicted != want.FlowsEvicted || got.FlowsEvictedLive != want.FlowsEvictedLive {
		t.Errorf("counted %+v, %v, should be %+v", got, err, want)
	}
}

// TestFairShare has a container with an idle connection, in a bucket that a neighbour's
// flood fills, make flows itself: the neighbour's make room until both have as many,
// then the container's newer ones.
func TestFairShare(t *testing.T) {
	stayOnCPU(t)
	p, dir := pinned(t, flowPorts(1), Shared{})
	flows := openedFlows(t, dir)
	now, tick, err := jiffies()
	if err != nil {
		t.Fatal(err)
	}
	const neighbour = loopback + 1
	var bucket programsFlowBucket
	for slot := range bucket.Tag {
		bucket.Tag[slot], bucket.Used[slot] = uint32(slot)<<1|1, now
		bucket.Owner[slot], bucket.Flow[slot].Key.Ifindex = neighbour, neighbour
	}
	bucket.Owner[3], bucket.Flow[3].Key.Ifindex = loopback, loopback
	bucket.State[3] = uint8(programsFlowStateFLOW_TCP | programsFlowStateFLOW_ANSWERED | programsFlowStateFLOW_ESTABLISHED)
	bucket.Used[3] -= uint32(time.Hour / tick)
	if err := flows.Put(uint32(0), &bucket); err != nil {
		t.Fatal(err)
	}
	for i := range uint16(20) {
		sent(t, p, udp(inside, 5000+i, outside, 7999))
		var after programsFlowBucket
		if err := flows.Lookup(uint32(0), &after); err != nil {
			t.Fatal(err)
		}
		if after.Flow[3] != bucket.Flow[3] {
			t.Fatalf("after %d flows the idle connection is gone: %+v", i+1, after)
		}
		own := slotsOf(&after, func(slot int) bool { return after.Owner[slot] == loopback })
		if want := min(2+int(i), 4); len(own) != want {
			t.Fatalf("after %d flows the container has %d, should be %d", i+1, len(own), want)
		}
	}
}

// TestResetByPeer has a RST in the peer's name end what the container has finished, but
// no established connection: that makes room before UDP, and is there until then.
func TestResetByPeer(t *testing.T) {
	const established = programsFlowStateFLOW_TCP | programsFlowStateFLOW_ANSWERED | programsFlowStateFLOW_ESTABLISHED
	const reset, finished = programsFlowStateFLOW_RESET_PEER, programsFlowStateFLOW_FIN_CONTAINER
	policy := func(state programsFlowState) flowPolicy { return policyOf(uint8(state)) }
	if got := policy(established | finished | reset).lifetime; got > 2*time.Minute {
		t.Errorf("finished by the container and reset: %s", got)
	}
	if got := policy(established | reset).lifetime; got != policy(established).lifetime {
		t.Errorf("reset in the peer's name: %s", got)
	}
	answered := policy(programsFlowStateFLOW_ANSWERED)
	for _, state := range []programsFlowState{established | reset, established | finished | reset} {
		if policy(state).rank <= answered.rank {
			t.Errorf("state %b makes room after answered UDP: %+v", state, policy(state))
		}
	}
	for _, state := range []programsFlowState{established, established | finished} {
		if policy(state).rank >= answered.rank {
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
		want             FlowState
	}
	open := []segment{
		{false, syn, 100, 0, FlowOpening},
		{true, syn | ack, 900, 101, FlowOpening},
		{false, ack, 101, 1 << 31, FlowOpening}, // of somebody who guesses
		{false, ack, 101, 901, FlowEstablished},
	}
	for name, test := range map[string]struct {
		direction rules.Direction
		segments  []segment
	}{
		"both sides finish": {rules.Egress, []segment{
			{false, fin | ack, 101, 901, FlowClosing},
			{true, fin | ack, 901, 102, FlowClosed},
			{false, ack, 102, 902, FlowClosed},
			{false, syn, 500, 0, FlowOpening},
		}},
		"the container resets": {rules.Egress, []segment{
			{false, rst | ack, 101, 901, FlowClosed},
			{true, ack, 901, 101, FlowClosed},
			{false, ack, 101, 901, FlowEstablished}, // it did not
		}},
		"the peer resets": {rules.Egress, []segment{
			{true, rst | ack, 901, 101, FlowClosing}, {false, ack, 101, 901, FlowEstablished},
		}},
		"a SYN in the peer's name": {rules.Ingress, []segment{{false, syn, 1, 0, FlowEstablished}}},
		"a FIN in the peer's name": {rules.Ingress, []segment{{false, fin | ack, 1, 1, FlowEstablished}}},
		"the peer resets, and its port is used again": {rules.Ingress, []segment{
			{true, fin | ack, 901, 101, FlowClosing},
			{false, rst, 101, 0, FlowClosing},
			{false, syn, 5000, 0, FlowClosing},
			{true, syn | ack, 7000, 5001, FlowOpening},
			{false, ack, 5001, 1 << 31, FlowOpening},
			{false, ack, 5001, 7001, FlowEstablished},
		}},
		"a RST in the peer's name": {rules.Ingress, []segment{
			{false, rst, 1, 0, FlowClosing}, {true, ack, 901, 101, FlowEstablished},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			stayOnCPU(t)
			port := func(p uint16) rules.PortRange { return rules.PortRange{First: p, Last: p} }
			p, dir := pinned(t, &Ruleset{Mode: TC, Flows: 1024, Rules: []rules.Rule{
				{Name: "a", Direction: test.direction, Protocol: rules.TCP, Ports: port(80), To: port(8080)},
			}}, Shared{})
			client, server := inside, outside
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
					sent(t, p, segment)
				} else {
					received(t, p, segment)
				}
				flows, err := ReadFlows(dir, loopback)
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
	hooks(t, func(t *testing.T, mode Mode) {
		rs := flowPorts(8192)
		rs.Mode = mode
		p, dir := pinned(t, rs, Shared{})
		for port := uint16(1); port < 512; port++ {
			sent(t, p, udp(inside, port, outside, 7999))
		}
		const dropped = 2 // both TC_ACT_SHOT and TCX_DROP; XDP_DROP is 1
		program, want := p.FromContainerTC, uint32(dropped)
		if mode == Generic {
			program, want = p.FromContainer, 1
		}
		if got, _ := run(t, program, udp(inside, 5, outside, 7997).Bytes()); got != want {
			t.Errorf("the program returned %d, should drop", got)
		}
		if moved := movedTo(t, sent(t, p, udp(inside, 600, outside, 7999))); moved != 600 {
			t.Errorf("another one's source port is %d", moved)
		}
		got, err := p.Counters(loopback)
		if err != nil || got.PortsExhausted != 1 || got.PortsMoved != 0 || got.Dropped != 1 {
			t.Errorf("counted %+v, %v", got, err)
		}
		if flows, err := ReadFlows(dir, loopback); len(flows) != 512 || err != nil {
			t.Errorf("%d flows, %v", len(flows), err)
		}
	})
}

// TestPrivilegedPortsStay has connections from ports of each of netfilter's ranges be
// moved: they stay in it.
func TestPrivilegedPortsStay(t *testing.T) {
	stayOnCPU(t)
	p, _ := pinned(t, flowPorts(8192), Shared{})
	for _, source := range []uint16{1, 511, 512, 599, 600, 1023, 1024, 40000, 65535} {
		first, last := uint16(1024), uint16(65535)
		switch {
		case source < 512:
			first, last = 1, 511
		case source < 1024:
			first, last = 600, 1023
		}
		sent(t, p, udp(inside, source, outside, 7999))
		moved := movedTo(t, sent(t, p, udp(inside, source, outside, 7997)))
		if moved == source || moved < first || moved > last {
			t.Errorf("source port %d became %d, should be one of %d to %d", source, moved, first, last)
		}
	}
}

// TestExpiredFlows turns time back for a flow: it counts as gone, and another
// connection gets its ports; its own next packet has it live again.
func TestExpiredFlows(t *testing.T) {
	hooks(t, func(t *testing.T, mode Mode) {
		rs := flowPorts(1)
		rs.Mode = mode
		p, dir := pinned(t, rs, Shared{})
		flows := openedFlows(t, dir)
		pass := func(by time.Duration) {
			t.Helper()
			tick, err := clockTick()
			var bucket programsFlowBucket
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
		ask, asked := udp(inside, 4000, outside, 7999), udp(inside, 4000, outside, 7998)
		reply, restored := udp(outside, 7998, inside, 4000), udp(outside, 7999, inside, 4000)
		for range 2 {
			want(t, "forward", sent(t, p, ask), asked)
		}
		pass(31 * time.Second)
		want(t, "reply after 31 s", received(t, p, reply), reply)
		for range 2 {
			want(t, "forward", sent(t, p, ask), asked)
			want(t, "reply", received(t, p, reply), restored)
		}
		pass(170 * time.Second)
		for range 2 {
			want(t, "reply after 170 s", received(t, p, reply), restored)
		}
		pass(181 * time.Second)
		want(t, "reply after 181 s", received(t, p, reply), reply)
		want(t, "another connection", sent(t, p, udp(inside, 4000, outside, 7997)), asked)
		want(t, "its reply", received(t, p, reply), udp(outside, 7997, inside, 4000))
		moved := movedTo(t, sent(t, p, ask))
		want(t, "the first one's reply", received(t, p, udp(outside, 7998, inside, moved)), restored)
		if moved == 4000 {
			t.Error("the first one has the ports of the other one")
		}
		pass(31 * time.Second)
		want(t, "forward, with the same port", sent(t, p, ask), udp(inside, moved, outside, 7998))
	})
}

// TestDirectReplies has rules of its own direction decide a reply of a connection that
// no rule is about, also where its source port was changed.
func TestDirectReplies(t *testing.T) {
	hooks(t, func(t *testing.T, mode Mode) {
		rs := flowPorts(1024)
		rs.Mode = mode
		rs.Rules = append(rs.Rules, rules.Rule{
			Name: "in", Direction: rules.Ingress, Protocol: rules.UDP, Ports: rules.PortRange{First: 4000, Last: 4001}, Action: rules.Drop,
		})
		p, _ := pinned(t, rs, Shared{})
		direct := udp(inside, 4000, outside, 7998)
		drops := func(what string, wire uint16) {
			t.Helper()
			if got, _ := run(t, p.ToContainer, udp(outside, 7998, inside, wire).Bytes()); got != 2 {
				t.Errorf("%s: the program returned %d, should drop", what, got)
			}
		}
		want(t, "direct", sent(t, p, direct), direct)
		drops("reply", 4000)
		other := movedTo(t, sent(t, p, udp(inside, 4000, outside, 7999)))
		want(t, "reply by the rule", received(t, p, udp(outside, 7998, inside, other)), udp(outside, 7999, inside, 4000))
		want(t, "rewritten", sent(t, p, udp(inside, 4001, outside, 7999)), udp(inside, 4001, outside, 7998))
		want(t, "one to 4001", received(t, p, udp(outside, 7998, inside, 4001)), udp(outside, 7999, inside, 4001))
		moved := movedTo(t, sent(t, p, udp(inside, 4001, outside, 7998)))
		if moved == 4001 {
			t.Error("two connections have the same ports")
		}
		drops("reply to the port before the change", moved)
	})
}

// TestLostAlias has the alias of a moved connection be evicted: replies put it back, so
// that the connection keeps its port.
func TestLostAlias(t *testing.T) {
	stayOnCPU(t)
	p, dir := pinned(t, flowPorts(1), Shared{})
	flows := openedFlows(t, dir)
	sent(t, p, udp(inside, 4000, outside, 7999))
	moved := movedTo(t, sent(t, p, udp(inside, 4000, outside, 7997)))
	received(t, p, udp(outside, 7998, inside, moved))
	var bucket programsFlowBucket
	if err := flows.Lookup(uint32(0), &bucket); err != nil {
		t.Fatal(err)
	}
	aliases := slotsOf(&bucket, func(slot int) bool { return bucket.Tag[slot] != 0 && bucket.Flow[slot].Key.Alias != 0 })
	if len(aliases) != 1 {
		t.Fatalf("%d aliases", len(aliases))
	}
	bucket.Tag[aliases[0]] = 0
	bucket.Version += 0x200 // twice BUCKET_VERSION_STEP, as after a write
	if err := flows.Put(uint32(0), &bucket); err != nil {
		t.Fatal(err)
	}
	want(t, "reply", received(t, p, udp(outside, 7998, inside, moved)), udp(outside, 7997, inside, 4000))
	if got := movedTo(t, sent(t, p, udp(inside, 4000, outside, 7997))); got != moved {
		t.Errorf("the connection on port %d goes on from %d", moved, got)
	}
}

// TestClockWraps has flows be idle for so long that their age looks like a time to come.
func TestClockWraps(t *testing.T) {
	stayOnCPU(t)
	p, dir := pinned(t, flowPorts(1), Shared{})
	flows := openedFlows(t, dir)
	sent(t, p, udp(inside, 4000, outside, 7999))
	var bucket programsFlowBucket
	if err := flows.Lookup(uint32(0), &bucket); err != nil {
		t.Fatal(err)
	}
	for slot := range bucket.Used {
		bucket.Used[slot] -= 1<<31 + 1000
	}
	if err := flows.Put(uint32(0), &bucket); err != nil {
		t.Fatal(err)
	}
	list, err := ReadFlows(dir, loopback)
	if err != nil || len(list) != 1 || !list[0].IsExpired {
		t.Errorf("%+v, %v, should have expired", list, err)
	}
	if got := original(t, p, 4000); got != 7998 {
		t.Errorf("the flow is live: the reply comes from %d", got)
	}
}
