/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The flows that were rewritten, so that replies and ICMP errors, and nothing
 * else, get the original port back.
 *
 * A table of buckets: a flow's hash says which, and in a full one the least
 * recently used flow makes room. A packet finds its flow without a call, in two
 * lines of memory. Who writes holds the bucket's lock. Who reads does not,
 * where the processor does loads in order and nobody wrote meanwhile.
 */
#ifndef XDP_PORT_FLOWS_H
#define XDP_PORT_FLOWS_H

#include "parse.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct flow_bucket);
} flows SEC(".maps");

/* The element behind the last bucket is user space's, which keeps the seed
 * there.
 */
const volatile __u32 flow_buckets = 1;
/* So that nobody can choose flows that take the places of certain others. */
const volatile __u64 flow_seed;
/* Whether the processor does loads in order: amd64 does, arm64 does not. */
const volatile __u8 loads_in_order = 1;

/* A flow to be looked up, and where it was found. */
struct flow_id {
	struct address container;
	struct address peer;
	struct flow_key key;
	struct flow_place place; /* slot 0: it was not found */
	__u32 tag;
	__u32 pad; /* older kernels want every byte of an argument written */
};

/*
 * Multiplying carries nothing down, and what differs between addresses is
 * mostly at the end, in the upper bits of a word as it is loaded.
 */
static __always_inline __u64 fold(__u64 word)
{
	return word ^ word >> 32;
}

/* The numbers have no pattern: digits of the golden ratio and others. */
static __always_inline __u64 hash_flow(const struct flow_id *id)
{
	const struct flow_key *key = &id->key;
	__u64 hash = fold(id->container.word[0]) * 0x9e3779b97f4a7c15 +
		     fold(id->container.word[1]) * 0xbf58476d1ce4e5b9 +
		     fold(id->peer.word[0]) * 0x94d049bb133111eb +
		     fold(id->peer.word[1]) * 0xd6e8feb86659fd93;

	/* Multiplied before ports are added: else who chooses an address can
	 * make up for a port without knowing more than a bit of the seed. */
	hash = fold((hash ^ flow_seed) * 0xc2b2ae3d27d4eb4f);
	hash += (__u64)key->ifindex << 32 | (__u32)key->container_port << 16 |
		key->peer_port;
	hash = fold(hash * 0x9fb21c651e98df25);
	hash += key->protocol << 16 | key->direction << 8 | key->family;
	return fold(hash * 0xff51afd7ed558ccd);
}

static __always_inline void place_flow(struct flow_id *id)
{
	__u64 hash = hash_flow(id);

	id->place.bucket = (hash >> 32) * flow_buckets >> 32;
	id->tag = (__u32)hash | 1; /* 0 is a free slot's */
	id->place.version = 0;
	id->place.slot = 0;
	id->pad = 0;
}

/*
 * The flow of this direction that a packet with these ports, as they are on the
 * wire, belongs to. The packet may be one of its own or, then with the other
 * direction, a reply.
 */
static __always_inline void
identify_flow(struct flow_id *id, const struct packet *pkt, __u8 flow_direction)
{
	struct flow_key *key = &id->key;

	id->container = pkt->container;
	id->peer = pkt->peer;
	key->ifindex = pkt->ifindex;
	if (pkt->direction == EGRESS) {
		key->container_port = pkt->ports.source;
		key->peer_port = pkt->ports.destination;
	} else {
		key->container_port = pkt->ports.destination;
		key->peer_port = pkt->ports.source;
	}
	key->protocol = pkt->protocol;
	key->direction = flow_direction;
	key->family = pkt->family;
	key->pad = 0;
	place_flow(id);
}

static __always_inline struct flow_bucket *bucket_of(const struct flow_id *id)
{
	/* Older kernels take no key out of the memory of who called. */
	__u32 bucket = id->place.bucket;

	return bpf_map_lookup_elem(&flows, &bucket);
}

/*
 * All bits if the value is 0, else none. What the two functions below find has
 * no branch in it: the verifier goes on with one number that it does not know,
 * not with each of eight.
 */
static __always_inline __u64 if_zero(__u32 value)
{
	__s64 mask = (__u64)value - 1;

	mask >>= 63;
	barrier_var(mask);
	return mask;
}

/* The number of the slot with this tag, from 1 on, 0 for none. */
static __always_inline __u32 slot_with(const struct flow_bucket *bucket,
				       __u32 tag)
{
	__u32 found = 0;

#pragma nounroll
	for (__u32 slot = 0; slot < FLOWS_PER_BUCKET; slot++)
		found |= if_zero(bucket->tag[slot] ^ tag) & (slot + 1);
	return found;
}

#define USED_BITS 24

static __always_inline __u32 last_use(const struct flow_bucket *bucket,
				      __u32 slot)
{
	return bucket->used[slot] | (__u32)bucket->used_upper[slot] << 16;
}

static __always_inline void note_use(struct flow_bucket *bucket, __u32 slot,
				     __u32 now)
{
	bucket->used[slot] = now;
	bucket->used_upper[slot] = now >> 16;
}

/* A free slot, or else the one that was not used for longest, from 1 on. */
static __always_inline __u32 slot_to_fill(const struct flow_bucket *bucket,
					  __u32 now)
{
	__u64 oldest = 0;

#pragma nounroll
	for (__u32 slot = 0; slot < FLOWS_PER_BUCKET; slot++) {
		__u64 age =
			(now - last_use(bucket, slot)) & ((1 << USED_BITS) - 1);
		__s64 older;

		age |= if_zero(bucket->tag[slot]) & 1 << USED_BITS;
		age = age << 8 | (slot + 1);
		older = (__s64)(oldest - age) >> 63;
		barrier_var(older);
		oldest += (age - oldest) & older;
	}
	return oldest & 0xff;
}

static __always_inline int same_address(const struct address *a,
					const struct address *b)
{
	return a->word[0] == b->word[0] && a->word[1] == b->word[1];
}

static __always_inline int same_key(const struct flow_key *a,
				    const struct flow_key *b)
{
	return a->ifindex == b->ifindex &&
	       a->container_port == b->container_port &&
	       a->peer_port == b->peer_port && a->protocol == b->protocol &&
	       a->direction == b->direction && a->family == b->family;
}

/* Notes that the flow was used just now. */
static __always_inline void touch(struct flow_bucket *bucket, __u32 slot,
				  __u32 now)
{
	if (last_use(bucket, slot) != now % (1 << USED_BITS))
		note_use(bucket, slot, now);
}

/* The original port of the flow, 0 if it is not in the bucket. */
static __always_inline __be16 port_in(struct flow_bucket *bucket,
				      struct flow_id *id, __u32 now)
{
	__u32 slot = slot_with(bucket, id->tag);
	const struct flow *flow;

	id->place.slot = 0;
	if (!slot)
		return 0;
	slot = (slot - 1) % FLOWS_PER_BUCKET;
	flow = &bucket->flow[slot];
	if (!same_key(&flow->key, &id->key) ||
	    !same_address(&flow->container, &id->container) ||
	    !same_address(&flow->peer, &id->peer))
		return 0;
	touch(bucket, slot, now);
	id->place.slot = slot + 1;
	return flow->original_port;
}

/* The version of the bucket; what was read before, was read by then. */
static __always_inline __u32 version_of(const struct flow_bucket *bucket)
{
	__u32 version;

	barrier();
	version = *(volatile __u32 *)&bucket->version;
	barrier();
	return version;
}

/* Called with the lock, before and after a change. */
static __always_inline void next_version(struct flow_bucket *bucket)
{
	barrier();
	*(volatile __u32 *)&bucket->version += 1;
	barrier();
}

/*
 * The original port of the flow, 0 if there is no such flow. A global function,
 * as put_flow(): there are many ways to it, which the verifier need not walk
 * all.
 */
__noinline int find_flow(struct flow_id *id)
{
	struct flow_bucket *bucket = id ? bucket_of(id) : NULL;
	__u32 now = bpf_jiffies64();
	__u32 version;
	__be16 port;

	if (!id || !bucket)
		return 0;
	version = version_of(bucket);
	port = port_in(bucket, id, now);
	if (unlikely(!loads_in_order || version & 1 ||
		     version_of(bucket) != version)) {
		bpf_spin_lock(&bucket->lock);
		port = port_in(bucket, id, now);
		version = version_of(bucket);
		bpf_spin_unlock(&bucket->lock);
	}
	id->place.version = version;
	return port;
}

/* Called with the lock. */
static __always_inline void write_flow(struct flow_bucket *bucket,
				       const struct flow_id *id,
				       __be16 original_port, __u32 now)
{
	__u32 slot = slot_with(bucket, id->tag);
	struct flow *flow;

	if (!slot)
		slot = slot_to_fill(bucket, now);
	slot = (slot - 1) % FLOWS_PER_BUCKET;
	flow = &bucket->flow[slot];
	next_version(bucket);
	flow->container = id->container;
	flow->peer = id->peer;
	flow->key = id->key;
	flow->original_port = original_port;
	bucket->tag[slot] = id->tag;
	note_use(bucket, slot, now);
	next_version(bucket);
}

__noinline int put_flow(const struct flow_id *id, __u32 original_port)
{
	struct flow_bucket *bucket = id ? bucket_of(id) : NULL;
	__u32 now = bpf_jiffies64();

	if (!id || !bucket)
		return 0;
	bpf_spin_lock(&bucket->lock);
	write_flow(bucket, id, original_port, now);
	bpf_spin_unlock(&bucket->lock);
	return 0;
}

/* Brings a flow in, unless there is one of the same pair of sockets. */
static __always_inline void add_flow(struct flow_id *id, __be16 original_port)
{
	struct flow_bucket *bucket = bucket_of(id);
	__u32 now = bpf_jiffies64();

	if (!bucket)
		return;
	bpf_spin_lock(&bucket->lock);
	if (!port_in(bucket, id, now))
		write_flow(bucket, id, original_port, now);
	bpf_spin_unlock(&bucket->lock);
}

/*
 * Returns 1 when the same pair of sockets used another port before. The flow
 * counts as found only if it was there as it is.
 */
static __always_inline int remember_flow(struct flow_id *id,
					 __be16 original_port)
{
	__be16 known = find_flow(id);

	if (likely(known == original_port))
		return 0;
	put_flow(id, original_port);
	id->place.slot = 0;
	return !!known;
}

/* Returns 1 when there was such a flow. */
static __always_inline int forget_flow(struct flow_id *id)
{
	struct flow_bucket *bucket = bucket_of(id);
	__u32 now = bpf_jiffies64();
	__u32 slot;

	if (!find_flow(id) || !bucket)
		return 0;
	bpf_spin_lock(&bucket->lock);
	/* It may have made room for another one meanwhile. */
	slot = port_in(bucket, id, now) ? slot_with(bucket, id->tag) : 0;
	if (slot) {
		next_version(bucket);
		bucket->tag[(slot - 1) % FLOWS_PER_BUCKET] = 0;
		next_version(bucket);
	}
	bpf_spin_unlock(&bucket->lock);
	return !!slot;
}

#endif
