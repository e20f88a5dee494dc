/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Aliases: the entries by which forward packets find a flow with a translated
 * source port, see struct flow.
 */
#ifndef XDP_PORT_FLOW_ALIAS_H
#define XDP_PORT_FLOW_ALIAS_H

#include "flows.h"

/* The bit of the flow's key in the filter of its bucket. */
static __always_inline __u32 alias_bit(const struct flow_id *id)
{
	return 1 << (id->tag >> 29);
}

/*
 * Whether the key of a flow that was just looked up may have an alias. Nearly
 * all have none, and so skip the look-up in another bucket.
 */
static __always_inline int may_have_alias(const struct flow_id *id)
{
	return id->place.version & BUCKET_ALIASES & alias_bit(id);
}

/* Returns the ports for a forward packet by an alias; 0: none. */
static __always_inline __be32 look_up_alias(const struct packet *pkt,
					    struct flow_id *id)
{
	struct ports asked = { .word = id->original };
	__be32 ports;

	locate_alias(pkt, id, asked.destination);
	ports = find_flow(pkt, id, ALIAS_PORTS);
	locate_flow(pkt, id);
	return ports;
}

__noinline int find_alias(const struct packet *pkt, struct flow_id *id)
{
	return pkt && id ? (int)look_up_alias(pkt, id) : 0;
}

/*
 * Marks the key of an alias in the bucket of the flows with that key, before
 * the alias is inserted. Also invalidates the decisions that XDP cached for
 * replies.
 */
static __always_inline void announce_alias(const struct packet *pkt,
					   struct flow_id *id)
{
	struct flow_bucket *bucket;

	locate_flow(pkt, id);
	bucket = bucket_of(id);
	if (!bucket)
		return;
	bpf_spin_lock(&bucket->lock);
	next_version(bucket);
	bucket->version |= alias_bit(id);
	next_version(bucket);
	bpf_spin_unlock(&bucket->lock);
}

/*
 * Inserts or renews the alias of a flow with a translated source port. The
 * alias gets the state of the flow. Afterwards the flow must be looked up
 * again.
 */
__noinline int insert_alias(const struct packet *pkt, struct flow_id *id)
{
	struct ports ports, original, alias;
	__u32 now = bpf_jiffies64();
	struct flow_bucket *bucket;

	if (!pkt || !id)
		return 0;
	ports.word = id->key.ports;
	original.word = id->original;
	alias.source = original.source;
	alias.destination = ports.destination;
	id->key.ports = alias.word;
	id->key.alias = 1;
	alias.source = ports.source;
	alias.destination = original.destination;
	id->original = alias.word;
	announce_alias(pkt, id);
	locate_alias(pkt, id, original.destination);
	bucket = bucket_of(id);
	if (bucket) {
		bpf_spin_lock(&bucket->lock);
		write_flow(bucket, pkt, id, slot_for(bucket, id, now), now);
		bpf_spin_unlock(&bucket->lock);
	}
	id->key.ports = ports.word;
	id->key.alias = 0;
	id->original = original.word;
	locate_flow(pkt, id);
	return 0;
}

#endif
