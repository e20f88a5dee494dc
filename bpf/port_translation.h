/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which ports a connection gets. Where a rewrite, or going to the port that it
 * produces directly, would give a connection the ports of an older one between
 * the same two addresses, its source port is changed, too.
 */
#ifndef XDP_PORT_PORT_TRANSLATION_H
#define XDP_PORT_PORT_TRANSLATION_H

#include "flows.h"

/* How many source ports are tried, as many as netfilter does. */
#define PORT_ATTEMPTS 128

/*
 * The first of the source ports that one may be changed to, and how many there
 * are: those of netfilter (nf_nat_core.c, nf_nat_l4proto_unique_tuple). A
 * server may take only some for privileged.
 */
static __always_inline __u32 first_source_port(__u16 port)
{
	return port < 512 ? 1 : port < 1024 ? 600 : 1024;
}

static __always_inline __u32 source_port_count(__u16 port)
{
	return port < 512 ? 511 : port < 1024 ? 424 : 64512;
}

/*
 * Makes the flow with one of the source ports that there are for it; returns
 * whether that was free. The port that it has is not.
 */
__noinline int try_source_port(const struct packet *pkt, struct flow_id *id,
			       __u32 choice)
{
	struct ports ports;
	__u16 source;

	if (!pkt || !id)
		return 0;
	ports.word = id->original;
	source = bpf_ntohs(ports.source);
	ports.word = id->key.ports;
	ports.source = bpf_htons(first_source_port(source) +
				 choice % source_port_count(source));
	id->key.ports = ports.word;
	locate_flow(pkt, id);
	return insert_flow(pkt, id);
}

/*
 * Makes the flow with another source port. Returns the ports that its packets
 * are to have, 0 if none is free.
 */
__noinline int translate_source_port(const struct packet *pkt,
				     struct flow_id *id)
{
	__u32 choice = bpf_get_prandom_u32() >> 1;

	if (!pkt || !id)
		return 0;
	for (int i = 0; i < PORT_ATTEMPTS; i++) {
		if (try_source_port(pkt, id, choice + i)) {
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
static __always_inline __be32 reuse_alias(const struct packet *pkt,
					  struct flow_id *id, __be32 moved)
{
	__be32 wanted = id->key.ports;

	id->key.ports = moved;
	locate_flow(pkt, id);
	if (find_flow(pkt, id, OWN_PORTS)) {
		if (follow_flow(pkt, id))
			insert_alias(pkt, id);
		return id->key.ports;
	}
	start_flow(pkt, id);
	if (insert_flow(pkt, id)) {
		insert_alias(pkt, id);
		return id->key.ports;
	}
	id->key.ports = wanted;
	locate_flow(pkt, id);
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
		ports = reuse_alias(pkt, id, ports);
		if (ports)
			return ports;
	}
	start_flow(pkt, id);
	if (insert_flow(pkt, id))
		return id->key.ports;
	ports = translate_source_port(pkt, id);
	if (ports)
		insert_alias(pkt, id);
	return ports;
}

#endif
