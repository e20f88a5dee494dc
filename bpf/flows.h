/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The flows that were rewritten, so that replies and ICMP errors, and nothing
 * else, get the original port back.
 */
#ifndef XDP_PORT_FLOWS_H
#define XDP_PORT_FLOWS_H

#include "parse.h"

enum direction {
	EGRESS,
	INGRESS,
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct flow_key);
	__type(value, struct flow);
} flows SEC(".maps");

/*
 * The key of the flow of this direction that a packet with these ports, as
 * they are on the wire, belongs to. The packet may be one of its own or, then
 * with the other direction, a reply.
 */
static __always_inline void make_flow_key(struct flow_key *key,
					  const struct packet *pkt,
					  __u8 flow_direction,
					  int container_is_source)
{
	__builtin_memset(key, 0, sizeof(*key));
	key->ifindex = pkt->ifindex;
	key->protocol = pkt->protocol;
	key->direction = flow_direction;
	key->family = pkt->family;
	if (container_is_source) {
		key->container_port = pkt->source;
		key->peer_port = pkt->destination;
		__builtin_memcpy(key->container, pkt->saddr, 16);
		__builtin_memcpy(key->peer, pkt->daddr, 16);
	} else {
		key->container_port = pkt->destination;
		key->peer_port = pkt->source;
		__builtin_memcpy(key->container, pkt->daddr, 16);
		__builtin_memcpy(key->peer, pkt->saddr, 16);
	}
}

static __always_inline struct flow *find_flow(const struct flow_key *key)
{
	return bpf_map_lookup_elem(&flows, key);
}

/* Returns 1 when the same pair of sockets used another port before. */
static __always_inline int remember_flow(const struct flow_key *key,
					 __be16 original_port, __u16 rule)
{
	struct flow fresh = { .original_port = original_port, .rule = rule };
	struct flow *known = find_flow(key);

	if (known && known->original_port == original_port)
		return 0;
	bpf_map_update_elem(&flows, key, &fresh, BPF_ANY);
	return !!known;
}

/* Returns 1 when there was such a flow. */
static __always_inline int forget_flow(const struct flow_key *key)
{
	return bpf_map_delete_elem(&flows, key) == 0;
}

#endif
