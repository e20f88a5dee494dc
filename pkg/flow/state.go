package flow

import (
	"fmt"
	"math"
	"math/bits"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/bpf"
)

// State says how far a connection is.
type State string

// The states, of UDP and of TCP.
const (
	// FlowUnanswered is UDP without a reply.
	Unanswered State = "unanswered"
	// FlowAnswered is UDP with a reply.
	Answered State = "answered"
	// FlowOpening is TCP whose handshake is not complete, or of which nothing else
	// was seen than packets of one side.
	Opening State = "opening"
	// FlowEstablished is TCP that both sides talk on.
	Established State = "established"
	// FlowClosing is TCP that the container has finished and its peer has not, or
	// that the peer seems to have reset. Anybody can send that in its name.
	Closing State = "closing"
	// FlowClosed is TCP that both sides have finished or the container has reset.
	Closed State = "closed"
)

// For how long flows are kept while they are idle, as netfilter has it for the most
// part. It keeps those that one side has finished for two minutes.
const (
	unansweredLifetime  = 30 * time.Second
	answeredLifetime    = 180 * time.Second
	openingLifetime     = 120 * time.Second
	finishedLifetime    = 120 * time.Second
	resetLifetime       = 10 * time.Second
	halfClosedLifetime  = time.Hour // what a container leaves that is killed
	establishedLifetime = 5 * 24 * time.Hour
)

// flowPolicy is what becomes of an idle flow.
type policy struct {
	state    State
	lifetime time.Duration
	// rank says which of two flows makes room for a new one: the one with more.
	rank uint8
}

// policyOf decodes the flags of enum flow_state of bpf/types.h.
func policyOf(state uint8) policy {
	const finished = uint8(bpf.ProgramsFlowStateFLOW_FIN_CONTAINER | bpf.ProgramsFlowStateFLOW_FIN_PEER)
	has := func(flags bpf.ProgramsFlowState) bool { return state&uint8(flags) != 0 }
	switch {
	case !has(bpf.ProgramsFlowStateFLOW_TCP) && has(bpf.ProgramsFlowStateFLOW_ANSWERED):
		return policy{Answered, answeredLifetime, 3}
	case !has(bpf.ProgramsFlowStateFLOW_TCP):
		return policy{Unanswered, unansweredLifetime, 5}
	case has(bpf.ProgramsFlowStateFLOW_RESET_CONTAINER):
		return policy{Closed, resetLifetime, 6}
	case state&finished == finished:
		return policy{Closed, finishedLifetime, 6}
	case !has(bpf.ProgramsFlowStateFLOW_ESTABLISHED):
		return policy{Opening, openingLifetime, 5}
	case has(bpf.ProgramsFlowStateFLOW_FIN_CONTAINER) && has(bpf.ProgramsFlowStateFLOW_RESET_PEER):
		return policy{Closing, finishedLifetime, 4}
	case has(bpf.ProgramsFlowStateFLOW_FIN_CONTAINER):
		return policy{Closing, halfClosedLifetime, 2}
	case has(bpf.ProgramsFlowStateFLOW_RESET_PEER):
		return policy{Closing, establishedLifetime, 4}
	}
	return policy{Established, establishedLifetime, 1}
}

// jiffies returns a time by the kernel's clock tick.
func (p policy) jiffies(tick time.Duration) uint32 {
	return uint32(min(p.lifetime/tick, math.MaxInt32))
}

// flowPolicies are those of all states, as the programs look them up.
func policies(tick time.Duration) (lifetimes [128]uint32, ranks [128]uint8) {
	for state := range lifetimes {
		policy := policyOf(uint8(state))
		lifetimes[state], ranks[state] = policy.jiffies(tick), policy.rank
	}
	return lifetimes, ranks
}

// clockTick returns how long a jiffy is.
func clockTick() (time.Duration, error) {
	var resolution unix.Timespec
	if err := unix.ClockGetres(unix.CLOCK_MONOTONIC_COARSE, &resolution); err != nil {
		return 0, fmt.Errorf("get the kernel's clock tick: %w", err)
	}
	return max(time.Duration(resolution.Nano()), time.Microsecond), nil
}

// epoch bounds how long a cached decision is used before the flow itself is looked up
// again. It is shorter than any lifetime.
const epoch = 5 * time.Second

// epochShift is its binary logarithm in jiffies, rounded down.
func epochShift(tick time.Duration) uint8 {
	return uint8(bits.Len64(uint64(epoch/tick)) - 1)
}
