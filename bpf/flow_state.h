/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The state of a flow, by the packets of it that were seen. Nothing that
 * anybody can send in the peer's name may end a flow.
 */
#ifndef XDP_PORT_FLOW_STATE_H
#define XDP_PORT_FLOW_STATE_H

#include "flow_id.h"

/* Larger than any TCP window. */
#define MAX_WINDOW (1 << 22)

/*
 * Whether a forward packet acknowledges the reply that was seen. A peer that
 * forges the address and guesses the reply does not know its sequence number.
 */
static __always_inline int acknowledges(const struct packet *pkt, __u32 answer)
{
	return pkt->tcp_flags & TCP_ACK &&
	       pkt->acknowledged - answer + MAX_WINDOW < 2 * MAX_WINDOW;
}

static __always_inline int has_all(__u8 state, __u8 flags)
{
	return (state & flags) == flags;
}

/*
 * Whether a SYN restarts the connection. A SYN of the container always does.
 * Anybody can send one from outside, so that one only restarts a connection
 * that is over.
 */
static __always_inline int may_restart(const struct packet *pkt, __u8 state)
{
	return pkt->direction == EGRESS || state & FLOW_RESET_CONTAINER ||
	       has_all(state, FLOW_FIN_CONTAINER | FLOW_FIN_PEER);
}

/*
 * Whether the container accepts a connection of the peer, which restarts it. A
 * container that considers the SYN part of an older connection sends something
 * else.
 */
static __always_inline int accepts_connection(const struct packet *pkt,
					      const struct flow_id *id)
{
	return pkt->direction == EGRESS && is_reply(pkt, id) &&
	       (pkt->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST)) ==
		       (TCP_SYN | TCP_ACK);
}

/*
 * Returns the state of the flow after a packet. Only the container ends an
 * established connection, since anybody can send packets with the peer's
 * address. An endpoint that goes on sending was not reset. An endpoint that
 * sends data after both FINs did not send its FIN.
 */
__noinline int next_state(const struct packet *pkt, const struct flow_id *id)
{
	__u8 from_container, fin, flags, state;

	if (!pkt || !id)
		return 0;
	state = id->state;
	flags = pkt->tcp_flags;
	from_container = pkt->direction == EGRESS;
	fin = from_container ? FLOW_FIN_CONTAINER : FLOW_FIN_PEER;
	if (!(state & FLOW_TCP))
		return is_reply(pkt, id) ? state | FLOW_ANSWERED : state;
	if (!is_reply(pkt, id) && (flags & (TCP_SYN | TCP_ACK)) == TCP_SYN)
		return may_restart(pkt, state) ? FLOW_TCP : state;
	if (flags & TCP_RST)
		return state | (from_container ? FLOW_RESET_CONTAINER
					       : FLOW_RESET_PEER);
	if (accepts_connection(pkt, id))
		return FLOW_TCP | FLOW_ANSWERED;
	state &= ~FLOW_RESET_PEER;
	if (from_container)
		state &= ~FLOW_RESET_CONTAINER;
	if (is_reply(pkt, id))
		state |= FLOW_ANSWERED;
	else if (state & FLOW_ANSWERED && acknowledges(pkt, id->answer))
		state |= FLOW_ESTABLISHED;
	if (flags & TCP_FIN)
		state |= fin;
	else if (pkt->has_data &&
		 has_all(state, FLOW_FIN_CONTAINER | FLOW_FIN_PEER))
		state &= ~fin;
	return state;
}

/*
 * Whether only packets with SYN, FIN or RST can change the state. Decisions for
 * other packets may be cached then.
 */
static __always_inline int is_stable(__u8 state)
{
	if (!(state & FLOW_TCP))
		return 1;
	return state & FLOW_ESTABLISHED &&
	       !(state & (FLOW_RESET_CONTAINER | FLOW_RESET_PEER)) &&
	       !has_all(state, FLOW_FIN_CONTAINER | FLOW_FIN_PEER);
}

/* Whether the packet is a reply and the flow needs its sequence number. */
static __always_inline int is_answer(const struct packet *pkt,
				     const struct flow_id *id)
{
	if (!is_reply(pkt, id) || !(id->state & FLOW_TCP))
		return 0;
	return !(id->state & FLOW_ESTABLISHED) || accepts_connection(pkt, id);
}

/* Sets the state of a new flow by its first packet. */
static __always_inline void start_flow(const struct packet *pkt,
				       struct flow_id *id)
{
	id->state = !(id->key.protocol ^ IPPROTO_TCP); /* FLOW_TCP or 0 */
	id->answer = 0;
	id->state = next_state(pkt, id);
}

#endif
