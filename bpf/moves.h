/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which ports a connection gets. Where a rewrite, or going to the port that it
 * produces directly, would give a connection the ports of an older one between
 * the same two addresses, its source port is changed, too.
 */
#ifndef XDP_PORT_MOVES_H
#define XDP_PORT_MOVES_H

#include "flows.h"

/* How many source ports are tried, as many as netfilter does. */
#define MOVE_ATTEMPTS 128

/*
 * The first of the source ports that one may be changed to, and how many there
 * are: those of netfilter (nf_nat_core.c, nf_nat_l4proto_unique_tuple). A
 * server may take only some for privileged.
 */
static __always_inline __u32 first_choice(__u16 port)
{
	return port < 512 ? 1 : port < 1024 ? 600 : 1024;
}

static __always_inline __u32 choices(__u16 port)
{
	return port < 512 ? 511 : port < 1024 ? 424 : 64512;
}

/*
 * Makes the flow with one of the source ports that there are for it; returns
 * whether that was free. The port that it has is not.
 */
__noinline int try_port(const struct packet *pkt, struct flow_id *id,
			__u32 choice)
{
	struct ports ports;
	__u16 source;

	if (!pkt || !id)
		return 0;
	ports.word = id->original;
	source = bpf_ntohs(ports.source);
	ports.word = id->key.ports;
	ports.source =
		bpf_htons(first_choice(source) + choice % choices(source));
	id->key.ports = ports.word;
	place_flow(pkt, id);
	return claim_flow(pkt, id);
}

/*
 * Makes the flow with another source port. Returns the ports that its packets
 * are to have, 0 if none is free.
 */
__noinline int move_flow(const struct packet *pkt, struct flow_id *id)
{
	__u32 choice = bpf_get_prandom_u32() >> 1;

	if (!pkt || !id)
		return 0;
	for (int i = 0; i < MOVE_ATTEMPTS; i++) {
		if (try_port(pkt, id, choice + i)) {
			id->events |= PORT_MOVED;
			return id->key.ports;
		}
	}
	id->events |= PORTS_EXHAUSTED;
	return 0;
}

/*
 * The ports of a connection whose alias is there: those from before, even if
 * its flow is not there any more. 0 if another connection has them by now.
 */
static __always_inline __be32 return_to(const struct packet *pkt,
					struct flow_id *id, __be32 moved)
{
	__be32 wanted = id->key.ports;

	id->key.ports = moved;
	place_flow(pkt, id);
	if (find_flow(pkt, id, OWN_PORTS)) {
		if (follow_flow(pkt, id))
			put_alias(pkt, id);
		return id->key.ports;
	}
	begin_flow(pkt, id);
	if (claim_flow(pkt, id)) {
		put_alias(pkt, id);
		return id->key.ports;
	}
	id->key.ports = wanted;
	place_flow(pkt, id);
	return 0;
}

/*
 * The ports that a forward packet is to have, which are those of id->key but
 * for the source port; 0 if there are none. Makes the flow if there is none
 * yet.
 */
static __always_inline __be32 track_flow(const struct packet *pkt,
					 struct flow_id *id)
{
	__be32 ports = find_flow(pkt, id, OWN_PORTS);

	if (likely(ports)) {
		follow_flow(pkt, id);
		return ports;
	}
	ports = find_alias(pkt, id);
	if (ports) {
		ports = return_to(pkt, id, ports);
		if (ports)
			return ports;
	}
	begin_flow(pkt, id);
	if (claim_flow(pkt, id))
		return id->key.ports;
	ports = move_flow(pkt, id);
	if (ports)
		put_alias(pkt, id);
	return ports;
}

#endif
