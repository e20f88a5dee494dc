/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The flow table: connections to a port that a two-way rewrite may produce. A
 * flow of the rewrite restores the original ports in replies and ICMP errors,
 * and only there. A direct connection has a flow as well, so that no two
 * connections get the same ports. The older one keeps its source port, see
 * port_translation.h.
 *
 * A flow's hash selects a bucket. In a full bucket, a new flow evicts an
 * expired one, or else a flow of the container with the most flows there. A
 * look-up needs no helper call and reads three cache lines. Writers take the
 * bucket's lock. Readers do not, if the processor keeps loads in order and no
 * write happens meanwhile.
 */
#ifndef XDP_PORT_FLOWS_H
#define XDP_PORT_FLOWS_H

#include "flow_bucket.h"
#include "flow_state.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct flow_bucket);
} flows SEC(".maps");

/* Whether the processor keeps loads in order: true on amd64, false on arm64. */
const volatile __u8 loads_in_order = 1;

static __always_inline struct flow_bucket *bucket_of(const struct flow_id *id)
{
	/* Older kernels reject a key in the caller's stack frame. */
	__u32 bucket = id->place.bucket;

	return bpf_map_lookup_elem(&flows, &bucket);
}

static __always_inline int same_address(const struct address *a,
					const struct address *b)
{
	return a->word[0] == b->word[0] && a->word[1] == b->word[1];
}

static __always_inline int same_flow(const struct flow *flow,
				     const struct packet *pkt,
				     const struct flow_id *id, __u8 alias)
{
	return flow->key.ifindex == id->key.ifindex &&
	       flow->key.ports == id->key.ports &&
	       flow->key.protocol == id->key.protocol &&
	       flow->key.direction == id->key.direction &&
	       flow->key.family == id->key.family && flow->key.alias == alias &&
	       same_address(&flow->container, &pkt->container) &&
	       same_address(&flow->peer, &pkt->peer);
}

/* Copies the position and the state of the flow. */
static __always_inline void mark_found(struct flow_bucket *bucket,
				       struct flow_id *id, __u32 slot,
				       __u32 now)
{
	touch(bucket, slot, now);
	id->place.slot = slot + 1;
	id->state = bucket->state[slot];
	id->answer = bucket->answer[slot];
}

/*
 * Returns the original ports of the flow for a packet of the other direction;
 * 0: not in this bucket.
 */
static __always_inline __be32 original_ports_in(struct flow_bucket *bucket,
						const struct packet *pkt,
						struct flow_id *id, __u32 now)
{
	__u32 slot = slot_with(bucket, id->tag);
	const struct flow *flow;

	id->place.slot = 0;
	if (!slot)
		return 0;
	slot = (slot - 1) % FLOWS_PER_BUCKET;
	flow = &bucket->flow[slot];
	if (!same_flow(flow, pkt, id, 0) || is_expired(bucket, slot, now))
		return 0;
	mark_found(bucket, id, slot, now);
	id->original = flow->original;
	return flow->original;
}

/*
 * Returns the ports for a forward packet by its own flow; 0: not in this
 * bucket.
 */
static __always_inline __be32 own_ports_in(struct flow_bucket *bucket,
					   const struct packet *pkt,
					   struct flow_id *id, __u32 now)
{
	__u32 slot = slot_with(bucket, id->tag);
	const struct flow *flow;

	id->place.slot = 0;
	if (!slot)
		return 0;
	slot = (slot - 1) % FLOWS_PER_BUCKET;
	flow = &bucket->flow[slot];
	if (flow->original != id->original || !same_flow(flow, pkt, id, 0) ||
	    is_expired(bucket, slot, now))
		return 0;
	mark_found(bucket, id, slot, now);
	return id->key.ports;
}

/*
 * Returns the ports for a forward packet by the alias; 0: not in this bucket.
 */
static __always_inline __be32 alias_ports_in(struct flow_bucket *bucket,
					     const struct packet *pkt,
					     struct flow_id *id, __u32 now)
{
	__u32 slot = slot_with(bucket, id->tag);
	struct ports asked = { .word = id->original };
	struct ports ports = { .word = id->key.ports };
	const struct flow *flow;
	struct ports moved;

	if (!slot)
		return 0;
	slot = (slot - 1) % FLOWS_PER_BUCKET;
	flow = &bucket->flow[slot];
	moved.word = flow->original;
	if (!same_flow(flow, pkt, id, 1) ||
	    moved.destination != asked.destination)
		return 0;
	touch(bucket, slot, now);
	ports.source = moved.source;
	return ports.word;
}

/* What to look up. */
enum look_up {
	ORIGINAL_PORTS, /* original_ports_in(), for a reply or an error */
	OWN_PORTS,	/* own_ports_in(), for a forward packet */
	ALIAS_PORTS,	/* alias_ports_in(), where the alias is located */
};

static __always_inline __be32 look_up_in(struct flow_bucket *bucket,
					 const struct packet *pkt,
					 struct flow_id *id, __u32 what,
					 __u32 now)
{
	if (what == ORIGINAL_PORTS)
		return original_ports_in(bucket, pkt, id, now);
	return what == OWN_PORTS ? own_ports_in(bucket, pkt, id, now)
				 : alias_ports_in(bucket, pkt, id, now);
}

/*
 * Looks up a flow. This function and those below are global, so that the
 * verifier checks them once and not once per path to them.
 */
__noinline int find_flow(const struct packet *pkt, struct flow_id *id,
			 __u32 what)
{
	struct flow_bucket *bucket = pkt && id ? bucket_of(id) : NULL;
	__u32 now = bpf_jiffies64();
	__u32 version;
	__be32 ports;

	if (!pkt || !id || !bucket)
		return 0;
	version = version_of(bucket);
	ports = look_up_in(bucket, pkt, id, what, now);
	if (unlikely(!loads_in_order || version & BUCKET_WRITING ||
		     version_of(bucket) != version)) {
		bpf_spin_lock(&bucket->lock);
		ports = look_up_in(bucket, pkt, id, what, now);
		version = version_of(bucket);
		bpf_spin_unlock(&bucket->lock);
	}
	id->place.version = version;
	return ports;
}

/*
 * Changes the state from id->state to `state`. Another CPU may have advanced
 * the flow since it was looked up, so only the flags that differ are written.
 * It may also have evicted the flow. No decision is cached in either case.
 */
__noinline int advance_flow(const struct packet *pkt, struct flow_id *id,
			    __u32 state)
{
	struct flow_bucket *bucket = pkt && id ? bucket_of(id) : NULL;
	__u8 set, clear;
	__u32 answer, slot;
	int is_new_answer;

	if (!pkt || !id || !bucket)
		return 0;
	set = state & ~id->state;
	clear = id->state & ~state;
	is_new_answer = is_answer(pkt, id);
	answer = pkt->sequence + !!(pkt->tcp_flags & TCP_SYN);
	bpf_spin_lock(&bucket->lock);
	if (version_of(bucket) != id->place.version)
		id->place.slot = 0;
	slot = slot_with(bucket, id->tag);
	if (slot) {
		slot = (slot - 1) % FLOWS_PER_BUCKET;
		bucket->state[slot] = (bucket->state[slot] & ~clear) | set;
		if (is_new_answer)
			bucket->answer[slot] = answer;
		/* Invalidates cached decisions of the flow. */
		next_version(bucket);
		next_version(bucket);
	}
	id->place.version = version_of(bucket);
	bpf_spin_unlock(&bucket->lock);
	id->state = state;
	return 0;
}

/* Updates the flow's state by a packet of it. Returns whether it changed. */
static __always_inline int follow_flow(const struct packet *pkt,
				       struct flow_id *id)
{
	__u32 state;

	if (likely(is_stable(id->state) &&
		   !(pkt->tcp_flags & (TCP_FIN | TCP_SYN | TCP_RST)) &&
		   (id->state & FLOW_ANSWERED || !is_reply(pkt, id))))
		return 0;
	state = next_state(pkt, id);
	if (state == id->state && !is_answer(pkt, id))
		return 0;
	advance_flow(pkt, id, state);
	return 1;
}

/* Called with the lock held. */
static __always_inline void write_flow(struct flow_bucket *bucket,
				       const struct packet *pkt,
				       struct flow_id *id, __u32 slot,
				       __u32 now)
{
	__u64 is_other = is_zero(is_zero(bucket->tag[slot]) |
				 is_zero(bucket->tag[slot] ^ id->tag));
	__u64 is_live = is_zero(is_expired(bucket, slot, now));
	struct flow *flow = &bucket->flow[slot];

	id->events |= is_other * FLOW_EVICTED |
		      (is_other & is_live) * FLOW_EVICTED_LIVE;
	next_version(bucket);
	flow->container = pkt->container;
	flow->peer = pkt->peer;
	flow->key = id->key;
	flow->original = id->original;
	bucket->tag[slot] = id->tag;
	bucket->used[slot] = now;
	bucket->state[slot] = id->state;
	bucket->owner[slot] = id->key.ifindex;
	bucket->answer[slot] = id->answer;
	next_version(bucket);
}

/*
 * Inserts the flow, unless a live flow has its key or the same hash. Returns
 * whether the table has the flow now.
 */
__noinline int insert_flow(const struct packet *pkt, struct flow_id *id)
{
	struct flow_bucket *bucket = pkt && id ? bucket_of(id) : NULL;
	__u32 now = bpf_jiffies64();
	const struct flow *flow;
	int is_ours = 1;
	__u32 slot;

	if (!pkt || !id || !bucket)
		return 0;
	bpf_spin_lock(&bucket->lock);
	slot = slot_for(bucket, id, now);
	flow = &bucket->flow[slot];
	if (bucket->tag[slot] != id->tag || is_expired(bucket, slot, now))
		write_flow(bucket, pkt, id, slot, now);
	else /* another CPU may have inserted it just now */
		is_ours = same_flow(flow, pkt, id, 0) &&
			  flow->original == id->original;
	bpf_spin_unlock(&bucket->lock);
	return is_ours;
}

#endif
