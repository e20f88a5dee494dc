/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The flows that were rewritten, so that replies and ICMP errors, and nothing
 * else, get the original port back.
 */
#ifndef XDP_PORT_FLOWS_H
#define XDP_PORT_FLOWS_H

#include "parse.h"

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct flow_key);
	__type(value, struct flow);
} flows SEC(".maps");

/* Odd numbers with no pattern: the digits of the golden ratio and others. */
static __always_inline __u64 digest(const struct address *container,
				    const struct address *peer)
{
	return container->word[0] * 0x9e3779b97f4a7c15 +
	       container->word[1] * 0xbf58476d1ce4e5b9 +
	       peer->word[0] * 0x94d049bb133111eb +
	       peer->word[1] * 0xd6e8feb86659fd93;
}

/*
 * The key of the flow of this direction that a packet with these ports, as
 * they are on the wire, belongs to. The packet may be one of its own or, then
 * with the other direction, a reply.
 */
static __always_inline void make_flow_key(struct flow_key *key,
					  const struct packet *pkt,
					  __u8 flow_direction)
{
	__u64 addresses = digest(&pkt->container, &pkt->peer);

	key->ifindex = pkt->ifindex;
	if (pkt->direction == EGRESS) {
		key->container_port = pkt->source;
		key->peer_port = pkt->destination;
	} else {
		key->container_port = pkt->destination;
		key->peer_port = pkt->source;
	}
	key->addresses[0] = addresses;
	key->addresses[1] = addresses >> 32;
	key->protocol = pkt->protocol;
	key->direction = flow_direction;
	key->family = pkt->family;
	key->pad = 0;
}

static __always_inline int same_address(const struct address *a,
					const struct address *b)
{
	return a->word[0] == b->word[0] && a->word[1] == b->word[1];
}

/* The flow of the key that a packet with its addresses belongs to, or NULL. */
static __always_inline struct flow *find_flow(const struct flow_key *key,
					      const struct packet *pkt)
{
	struct flow *flow = bpf_map_lookup_elem(&flows, key);

	if (!flow || !same_address(&flow->container, &pkt->container) ||
	    !same_address(&flow->peer, &pkt->peer))
		return NULL;
	return flow;
}

/* Returns 1 when the same pair of sockets used another port before. */
static __always_inline int remember_flow(const struct flow_key *key,
					 const struct packet *pkt,
					 __be16 original_port)
{
	struct flow *known = find_flow(key, pkt);
	struct flow fresh = {
		.container = pkt->container,
		.peer = pkt->peer,
		.original_port = original_port,
	};

	if (known && known->original_port == original_port)
		return 0;
	bpf_map_update_elem(&flows, key, &fresh, BPF_ANY);
	return !!known;
}

/* Returns 1 when there was such a flow. */
static __always_inline int forget_flow(const struct flow_key *key,
				       const struct packet *pkt)
{
	return find_flow(key, pkt) && !bpf_map_delete_elem(&flows, key);
}

#endif
