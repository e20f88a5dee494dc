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

#include "parse.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct flow_bucket);
} flows SEC(".maps");

/*
 * User space owns the element behind the last bucket, and keeps the seed there.
 */
const volatile __u32 flow_buckets = 1;
/* Secret, so that nobody can choose flows that evict certain flows. */
const volatile __u64 flow_seed;
/* Whether the processor keeps loads in order: true on amd64, false on arm64. */
const volatile __u8 loads_in_order = 1;

/* Maximum idle time of a flow by its state, in jiffies. */
const volatile __u32 flow_lifetime[FLOW_STATES];
/*
 * Of two flows that have not expired, the one with the higher rank is evicted.
 */
const volatile __u8 flow_rank[FLOW_STATES];

/* A flow to look up, apart from its addresses, and the result. */
struct flow_id {
	struct flow_key key;
	__be32 original;	 /* as in struct flow */
	struct flow_place place; /* slot 0: not found */
	__u32 tag;
	__u32 answer; /* as in struct flow_bucket */
	enum flow_state state;
	__u8 events; /* enum flow_event */
	__u8 pad[7]; /* older kernels require initialized arguments */
};

/*
 * Multiplication carries bits upwards only, and addresses differ mostly in
 * their last bytes, which are the upper bits of a loaded word.
 */
static __always_inline __u64 fold(__u64 word)
{
	return word ^ word >> 32;
}

/* The constants are arbitrary: digits of the golden ratio and others. */
static __always_inline __u64 hash_flow(const struct packet *pkt,
				       const struct flow_id *id)
{
	const struct flow_key *key = &id->key;
	__u64 hash = fold(pkt->container.word[0]) * 0x9e3779b97f4a7c15 +
		     fold(pkt->container.word[1]) * 0xbf58476d1ce4e5b9 +
		     fold(pkt->peer.word[0]) * 0x94d049bb133111eb +
		     fold(pkt->peer.word[1]) * 0xd6e8feb86659fd93;

	/*
	 * Multiply before adding the ports. Otherwise an attacker who chooses
	 * an address could compensate for a port while knowing one bit of the
	 * seed.
	 */
	hash = fold((hash ^ flow_seed) * 0xc2b2ae3d27d4eb4f);
	hash += (__u64)key->ifindex << 32 | key->ports;
	hash = fold(hash * 0x9fb21c651e98df25);
	hash += key->protocol << 16 | key->direction << 8 | key->family;
	return fold(hash * 0xff51afd7ed558ccd);
}

static __always_inline void set_location(struct flow_id *id, __u64 hash)
{
	id->place.bucket = (hash >> 32) * flow_buckets >> 32;
	id->tag = (__u32)hash | 1; /* 0 marks a free slot */
	id->place.version = 0;
	id->place.slot = 0;
}

static __always_inline void locate_flow(const struct packet *pkt,
					struct flow_id *id)
{
	set_location(id, hash_flow(pkt, id));
}

/*
 * Locates the alias with this flow's key, of a connection to the original port
 * `asked`. Many aliases may share one key, so each has a bucket of its own.
 */
static __always_inline void locate_alias(const struct packet *pkt,
					 struct flow_id *id, __be16 asked)
{
	__u64 hash = hash_flow(pkt, id) + asked + 1;

	hash = fold(hash * 0x9fb21c651e98df25);
	set_location(id, fold(hash * 0xff51afd7ed558ccd));
}

/*
 * Sets the flow of this direction with these ports. The packet is a forward
 * packet of the flow or, in the other direction, a reply.
 */
static __always_inline void identify_flow(struct flow_id *id,
					  const struct packet *pkt,
					  struct ports ports,
					  __u8 flow_direction)
{
	struct flow_key *key = &id->key;

	key->ifindex = pkt->ifindex;
	key->ports = ports.word;
	key->protocol = pkt->protocol;
	key->direction = flow_direction;
	key->family = pkt->family;
	key->alias = 0;
	id->original = pkt->ports.word;
	id->answer = 0;
	id->state = 0;
	id->events = 0;
	__builtin_memset(id->pad, 0, sizeof(id->pad));
	locate_flow(pkt, id);
}

static __always_inline int is_reply(const struct packet *pkt,
				    const struct flow_id *id)
{
	return pkt->direction != id->key.direction;
}

static __always_inline struct flow_bucket *bucket_of(const struct flow_id *id)
{
	/* Older kernels reject a key in the caller's stack frame. */
	__u32 bucket = id->place.bucket;

	return bpf_map_lookup_elem(&flows, &bucket);
}

/*
 * All bits if the value is 0, else none. The functions below avoid branches:
 * the verifier then continues with one unknown slot number instead of eight
 * known ones.
 */
static __always_inline __u64 mask_if_zero(__u32 value)
{
	__s64 mask = (__u64)value - 1;

	mask >>= 63;
	barrier_var(mask);
	return mask;
}

/* All bits if a < b, else none. The numbers differ by at most 1 << 63. */
static __always_inline __u64 mask_if_less(__u64 a, __u64 b)
{
	__s64 mask = a - b;

	barrier_var(mask); /* else the compiler emits a branch */
	mask >>= 63;
	barrier_var(mask);
	return mask;
}

/*
 * The same as 1 or 0. Newer verifiers fork at a mask that is applied to a
 * constant.
 */
static __always_inline __u64 is_zero(__u32 value)
{
	__u64 sign = (__u64)value - 1;

	barrier_var(sign);
	sign >>= 63;
	barrier_var(sign); /* else a multiple of it becomes a mask again */
	return sign;
}

static __always_inline __u64 is_less(__u64 a, __u64 b)
{
	__u64 sign = a - b;

	barrier_var(sign);
	sign >>= 63;
	barrier_var(sign);
	return sign;
}

/* Returns the number of the slot with this tag, from 1 on; 0: none. */
static __always_inline __u32 slot_with(const struct flow_bucket *bucket,
				       __u32 tag)
{
	__u32 found = 0;

#pragma nounroll
	for (__u32 slot = 0; slot < FLOWS_PER_BUCKET; slot++)
		found |= mask_if_zero(bucket->tag[slot] ^ tag) & (slot + 1);
	return found;
}

/*
 * Returns the number of a free slot, from 1 on; 0: none. The tags of flows are
 * odd, so the bits of the free slots need no loop.
 */
static __always_inline __u32 free_slot(const struct flow_bucket *bucket)
{
	const __u64 ones = 0x0000000100000001;
	__u64 tags[FLOWS_PER_BUCKET / 2], taken;
	__u32 free;

	__builtin_memcpy(tags, bucket->tag, sizeof(tags));
	taken = (tags[0] & ones) | (tags[1] & ones) << 1 |
		(tags[2] & ones) << 2 | (tags[3] & ones) << 3;
	if (taken == 0xf * ones)
		return 0;
	free = ~(taken | taken >> 28) & 0xff; /* even slots, then odd ones */
	free &= -free;
	return 1 + 2 * (!!(free & 0xaa) | !!(free & 0xcc) << 1) +
	       !!(free & 0xf0);
}

/* How many jiffies after `now` was read a flow may have been used. */
#define MAX_CLOCK_LEAD (1 << 16)

/*
 * Returns the idle time of a flow in jiffies. Another CPU may have used the
 * flow after `now` was read, since that happens before the lock is taken. A
 * larger lead means that the flow is so old that the clock has wrapped.
 */
static __always_inline __u32 idle_for(__u32 used, __u32 now)
{
	__u32 idle = now - used;

	return idle & mask_if_less(idle, (__u32)-MAX_CLOCK_LEAD);
}

static __always_inline __u32 age_of(const struct flow_bucket *bucket,
				    __u32 slot, __u32 now)
{
	return idle_for(bucket->used[slot], now);
}

static __always_inline __u64 is_expired(const struct flow_bucket *bucket,
					__u32 slot, __u32 now)
{
	return is_less(flow_lifetime[bucket->state[slot] % FLOW_STATES],
		       age_of(bucket, slot, now));
}

/* Returns how many of the four 16-bit numbers in a word are 0. */
static __always_inline __u64 count_zeros(__u64 word)
{
	const __u64 ones = 0x0001000100010001, lower = 0x7fff * ones;
	__u64 nonzero = ((word & lower) + lower) | word; /* their upper bits */

	return ((~nonzero >> 15) & ones) * ones >> 48;
}

/*
 * Returns one byte per slot: twice the number of flows in the bucket, including
 * the new one, that the slot's container would have; plus one if the new flow
 * is of the same container.
 */
static __always_inline __u64 bucket_shares(const struct flow_bucket *bucket,
					   __u16 owner)
{
	__u64 owners[FLOWS_PER_BUCKET / 4];
	__u64 shares = 0;

	__builtin_memcpy(owners, bucket->owner, sizeof(owners));
#pragma nounroll
	for (__u32 slot = 0; slot < FLOWS_PER_BUCKET; slot++) {
		__u16 other = bucket->owner[slot];
		__u64 same = other * (__u64)0x0001000100010001;
		__u64 share = count_zeros(owners[0] ^ same) +
			      count_zeros(owners[1] ^ same);

		share = 2 * share + 3 * is_zero(other ^ owner);
		shares |= share << 8 * slot;
	}
	barrier_var(shares); /* else the compiler merges the two loops */
	return shares;
}

/* Whether all flows in a full bucket are of this container. */
static __always_inline int has_one_owner(const struct flow_bucket *bucket,
					 __u16 owner)
{
	const __u64 same = owner * (__u64)0x0001000100010001;
	__u64 owners[FLOWS_PER_BUCKET / 4];

	__builtin_memcpy(owners, bucket->owner, sizeof(owners));
	return !((owners[0] ^ same) | (owners[1] ^ same));
}

/*
 * Returns the slot of a full bucket for a new flow, from 1 on. Preferred in
 * this order:
 *
 * - an expired flow,
 * - a flow of the container that would have the most flows in the bucket, on a
 *   tie the container of the new flow: a flood takes no more than its share,
 * - the flow with the highest rank,
 * - the flow with the longest idle time.
 */
static __always_inline __u32 slot_to_evict(const struct flow_bucket *bucket,
					   __u32 ifindex, __u32 now)
{
	__u64 best = 0, shares = 0;

	if (!has_one_owner(bucket, ifindex))
		shares = bucket_shares(bucket, ifindex);
#pragma nounroll
	for (__u32 slot = 0; slot < FLOWS_PER_BUCKET; slot++) {
		const struct flow_bucket *flows = bucket;
		__u32 age, state;
		__u64 score;

		barrier_var(flows); /* one pointer, not one per array */
		age = age_of(flows, slot, now);
		state = flows->state[slot] % FLOW_STATES;
		barrier_var(age); /* computed once */
		barrier_var(state);
		score = is_less(flow_lifetime[state % FLOW_STATES], age);
		score = score << 8 | (shares & 0xff);
		score = score << 8 | flow_rank[state % FLOW_STATES];
		score = score << 32 | age;
		score = score << 8 | (slot + 1);
		best += (score - best) & mask_if_less(best, score);
		shares >>= 8;
	}
	return best & 0xff;
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

/* Marks the flow as used. */
static __always_inline void touch(struct flow_bucket *bucket, __u32 slot,
				  __u32 now)
{
	if (bucket->used[slot] != now)
		bucket->used[slot] = now;
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

/* Returns the version of the bucket. Reads before the call stay before it. */
static __always_inline __u32 version_of(const struct flow_bucket *bucket)
{
	__u32 version;

	barrier();
	version = *(volatile __u32 *)&bucket->version;
	barrier();
	return version;
}

/* Called with the lock held, before and after a change. */
static __always_inline void next_version(struct flow_bucket *bucket)
{
	barrier();
	*(volatile __u32 *)&bucket->version += BUCKET_VERSION_STEP;
	barrier();
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

/* Whether the packet is a reply whose sequence number the flow needs. */
static __always_inline int is_answer(const struct packet *pkt,
				     const struct flow_id *id)
{
	if (!is_reply(pkt, id) || !(id->state & FLOW_TCP))
		return 0;
	return !(id->state & FLOW_ESTABLISHED) || accepts_connection(pkt, id);
}

/*
 * Changes the state from id->state to `state`. Another CPU may have advanced
 * the flow meanwhile, so only the flags that differ are written.
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
	/* It may have been evicted meanwhile. */
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

/* Returns the slot with the flow's tag, or else one for it, from 0 on. */
static __always_inline __u32 slot_for(const struct flow_bucket *bucket,
				      const struct flow_id *id, __u32 now)
{
	__u32 slot = slot_with(bucket, id->tag);

	if (!slot)
		slot = free_slot(bucket);
	if (!slot)
		slot = slot_to_evict(bucket, id->key.ifindex, now);
	return (slot - 1) % FLOWS_PER_BUCKET;
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

/* Sets the state of a new flow by its first packet. */
static __always_inline void start_flow(const struct packet *pkt,
				       struct flow_id *id)
{
	id->state = !(id->key.protocol ^ IPPROTO_TCP); /* FLOW_TCP or 0 */
	id->answer = 0;
	id->state = next_state(pkt, id);
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
 * Inserts or renews the alias of a flow whose source port was translated, with
 * the state of the flow. Afterwards the flow must be looked up again.
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

/*
 * Imports a flow or an alias, unless it has expired or the table has it with a
 * later use.
 */
__noinline int import_record(const struct flow_record *record)
{
	__u32 now = bpf_jiffies64();
	struct flow_bucket *bucket;
	struct packet pkt = {};
	struct flow_id id = {};
	struct ports original;
	__u32 used, slot;

	if (!record)
		return -1;
	pkt.container = record->flow.container;
	pkt.peer = record->flow.peer;
	id.key = record->flow.key;
	id.original = record->flow.original;
	id.state = record->state;
	id.answer = record->answer;
	used = record->is_fresh ? now : record->used;
	if (idle_for(used, now) > flow_lifetime[id.state % FLOW_STATES])
		return 0;
	original.word = id.original;
	if (id.key.alias) {
		announce_alias(&pkt, &id);
		locate_alias(&pkt, &id, original.destination);
	} else {
		locate_flow(&pkt, &id);
	}
	bucket = bucket_of(&id);
	if (!bucket)
		return -1;
	bpf_spin_lock(&bucket->lock);
	slot = slot_for(bucket, &id, now);
	if (bucket->tag[slot] != id.tag ||
	    (__s32)(used - bucket->used[slot]) > 0) {
		write_flow(bucket, &pkt, &id, slot, now);
		bucket->used[slot] = used;
	}
	bpf_spin_unlock(&bucket->lock);
	return 0;
}

#endif
