/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The connections that go to a port which a two-way rewrite may produce: by the
 * rewrite, so that replies and ICMP errors, and nothing else, get the original
 * ports back; and directly, so that no two have the same ports. The first one
 * to come keeps its source port, see port_translation.h.
 *
 * A table of buckets: a flow's hash says which. In a full one a flow makes room
 * that has expired, or else one of the container with most of them. A packet
 * finds its flow without a call, in three lines of memory. Who writes holds the
 * bucket's lock. Who reads does not, where the processor does loads in order
 * and nobody wrote meanwhile.
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

/* How long a flow may be idle, in jiffies, by its state. */
const volatile __u32 flow_lifetime[FLOW_STATES];
/* Which one of two that have not expired makes room: the one with more. */
const volatile __u8 flow_rank[FLOW_STATES];

/* A flow to be looked up, beside the addresses, and what is known of it. */
struct flow_id {
	struct flow_key key;
	__be32 original;	 /* as in struct flow */
	struct flow_place place; /* slot 0: it was not found */
	__u32 tag;
	__u32 answer; /* as in struct flow_bucket */
	enum flow_state state;
	__u8 events; /* enum flow_event */
	__u8 pad[7]; /* older kernels want every byte of an argument written */
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
static __always_inline __u64 hash_flow(const struct packet *pkt,
				       const struct flow_id *id)
{
	const struct flow_key *key = &id->key;
	__u64 hash = fold(pkt->container.word[0]) * 0x9e3779b97f4a7c15 +
		     fold(pkt->container.word[1]) * 0xbf58476d1ce4e5b9 +
		     fold(pkt->peer.word[0]) * 0x94d049bb133111eb +
		     fold(pkt->peer.word[1]) * 0xd6e8feb86659fd93;

	/* Multiplied before ports are added: else who chooses an address can
	 * make up for a port without knowing more than a bit of the seed. */
	hash = fold((hash ^ flow_seed) * 0xc2b2ae3d27d4eb4f);
	hash += (__u64)key->ifindex << 32 | key->ports;
	hash = fold(hash * 0x9fb21c651e98df25);
	hash += key->protocol << 16 | key->direction << 8 | key->family;
	return fold(hash * 0xff51afd7ed558ccd);
}

static __always_inline void set_location(struct flow_id *id, __u64 hash)
{
	id->place.bucket = (hash >> 32) * flow_buckets >> 32;
	id->tag = (__u32)hash | 1; /* 0 is a free slot's */
	id->place.version = 0;
	id->place.slot = 0;
}

static __always_inline void locate_flow(const struct packet *pkt,
					struct flow_id *id)
{
	set_location(id, hash_flow(pkt, id));
}

/*
 * Places the alias that has this flow's key, of a connection that asked for
 * this port: in a bucket of its own, since there may be many for one key.
 */
static __always_inline void locate_alias(const struct packet *pkt,
					 struct flow_id *id, __be16 asked)
{
	__u64 hash = hash_flow(pkt, id) + asked + 1;

	hash = fold(hash * 0x9fb21c651e98df25);
	set_location(id, fold(hash * 0xff51afd7ed558ccd));
}

/*
 * The flow of this direction with these ports. The packet is one of its own or,
 * in the other direction, a reply.
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
	/* Older kernels take no key out of the memory of who called. */
	__u32 bucket = id->place.bucket;

	return bpf_map_lookup_elem(&flows, &bucket);
}

/*
 * All bits if the value is 0, else none. What the functions below find has no
 * branch in it: the verifier goes on with one number that it does not know, not
 * with each of eight.
 */
static __always_inline __u64 mask_if_zero(__u32 value)
{
	__s64 mask = (__u64)value - 1;

	mask >>= 63;
	barrier_var(mask);
	return mask;
}

/* All bits if the first number is less; as far apart as 1 << 63 at most. */
static __always_inline __u64 mask_if_less(__u64 a, __u64 b)
{
	__s64 mask = a - b;

	barrier_var(mask); /* else the compiler makes a branch of it */
	mask >>= 63;
	barrier_var(mask);
	return mask;
}

/*
 * The same as 1 or 0: new verifiers go two ways at a mask, if a constant is
 * what it is applied to.
 */
static __always_inline __u64 is_zero(__u32 value)
{
	__u64 difference = (__u64)value - 1;

	barrier_var(difference);
	return difference >> 63;
}

static __always_inline __u64 is_less(__u64 a, __u64 b)
{
	__u64 difference = a - b;

	barrier_var(difference);
	return difference >> 63;
}

/* The number of the slot with this tag, from 1 on, 0 for none. */
static __always_inline __u32 slot_with(const struct flow_bucket *bucket,
				       __u32 tag)
{
	__u32 found = 0;

#pragma nounroll
	for (__u32 slot = 0; slot < FLOWS_PER_BUCKET; slot++)
		found |= mask_if_zero(bucket->tag[slot] ^ tag) & (slot + 1);
	return found;
}

/* How much later than `now` was read a flow may have been used, in jiffies. */
#define MAX_CLOCK_LEAD (1 << 16)

/*
 * For how many jiffies a flow was not used. It may have been used after `now`
 * was read, which is before the lock was there. What looks like much later was
 * so long ago that the clock has wrapped.
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

/* How many of the four numbers in a word are 0. */
static __always_inline __u64 count_zeros(__u64 word)
{
	const __u64 ones = 0x0001000100010001, lower = 0x7fff * ones;
	__u64 nonzero = ((word & lower) + lower) | word; /* their upper bits */

	return ((~nonzero >> 15) & ones) * ones >> 48;
}

/*
 * A byte for each slot: twice how many flows of the bucket its container would
 * have with the new one, and one more if that is its own.
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
	barrier_var(shares); /* else the next loop and this become one */
	return shares;
}

/*
 * The slot that makes room, from 1 on: a free one, or one whose flow has
 * expired, if there is any. Else one of the container that would have the most
 * flows in the bucket with the new one, which is the new one's if another has
 * as many: so nobody's flood takes more than its share. Of several the one with
 * the highest rank, of these the one that was not used for longest.
 */
static __always_inline __u32 slot_to_evict(const struct flow_bucket *bucket,
					   __u32 ifindex, __u32 now)
{
	__u64 best = 0, shares = bucket_shares(bucket, ifindex);

#pragma nounroll
	for (__u32 slot = 0; slot < FLOWS_PER_BUCKET; slot++) {
		const struct flow_bucket *flows = bucket;
		__u64 score;

		barrier_var(flows); /* one pointer, not one to each array */
		score = is_zero(flows->tag[slot]) << 1;
		score |= is_expired(flows, slot, now);
		score = score << 8 | (shares & 0xff);
		score = score << 8 |
			flow_rank[flows->state[slot] % FLOW_STATES];
		score = score << 32 | age_of(flows, slot, now);
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

/* Notes that the flow was used just now. */
static __always_inline void touch(struct flow_bucket *bucket, __u32 slot,
				  __u32 now)
{
	if (bucket->used[slot] != now)
		bucket->used[slot] = now;
}

/* Notes where the flow was found, and how far it is. */
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
 * The ports of the flow before the change, 0 if it is not in the bucket, for
 * the other direction's packets.
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

/* The ports that a forward packet is to have by its own flow, 0 if it has none.
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

/* The ports that it is to have by the alias, if that is in the bucket. */
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

/* What is looked up, and for whom. */
enum look_up {
	ORIGINAL_PORTS, /* original_ports_in(), for a reply or an error */
	OWN_PORTS,	/* own_ports_in(), for a forward packet */
	ALIAS_PORTS,	/* alias_ports_in(), where an alias is placed */
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
 * Looks a flow up. A global function, as those below: there are many ways to
 * it, which the verifier need not walk all.
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
	if (unlikely(!loads_in_order || version & 1 ||
		     version_of(bucket) != version)) {
		bpf_spin_lock(&bucket->lock);
		ports = look_up_in(bucket, pkt, id, what, now);
		version = version_of(bucket);
		bpf_spin_unlock(&bucket->lock);
	}
	id->place.version = version;
	return ports;
}

/* The ports that a forward packet is to have by an alias; 0: there is none. */
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

/* A number of the sender's that is no farther off than any window is large. */
#define MAX_WINDOW (1 << 22)

/*
 * Whether a forward packet acknowledges the reply that was seen: who has only
 * guessed that there would be one, with another's address, does not know its
 * number.
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
 * Whether a SYN begins a connection anew. What a container sends is its own;
 * from outside it could be anybody's, and then only what is over is.
 */
static __always_inline int may_restart(const struct packet *pkt, __u8 state)
{
	return pkt->direction == EGRESS || state & FLOW_RESET_CONTAINER ||
	       has_all(state, FLOW_FIN_CONTAINER | FLOW_FIN_PEER);
}

/*
 * Whether the packet accepts a connection of the peer's, on which the container
 * then begins anew: it answers what it takes for part of an older one
 * otherwise.
 */
static __always_inline int accepts_connection(const struct packet *pkt,
					      const struct flow_id *id)
{
	return pkt->direction == EGRESS && is_reply(pkt, id) &&
	       (pkt->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST)) ==
		       (TCP_SYN | TCP_ACK);
}

/*
 * How far a flow is after a packet of it. Nothing but the container ends an
 * established connection, since anybody can send as the peer. Who goes on
 * sending was not reset, and who sends data after the last of it was not the
 * one who sent the FIN.
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
 * Whether packets of the flow say nothing new of it, but for those with a SYN,
 * FIN or RST: then what becomes of them may be remembered.
 */
static __always_inline int is_stable(__u8 state)
{
	if (!(state & FLOW_TCP))
		return 1;
	return state & FLOW_ESTABLISHED &&
	       !(state & (FLOW_RESET_CONTAINER | FLOW_RESET_PEER)) &&
	       !has_all(state, FLOW_FIN_CONTAINER | FLOW_FIN_PEER);
}

/* Whether the packet is a reply whose number is of interest. */
static __always_inline int is_answer(const struct packet *pkt,
				     const struct flow_id *id)
{
	if (!is_reply(pkt, id) || !(id->state & FLOW_TCP))
		return 0;
	return !(id->state & FLOW_ESTABLISHED) || accepts_connection(pkt, id);
}

/*
 * Has the flow be so far, from where it was when it was found: another CPU may
 * have got it further meanwhile.
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
	/* It may have made room for another one, too. */
	slot = slot_with(bucket, id->tag);
	if (slot) {
		slot = (slot - 1) % FLOWS_PER_BUCKET;
		bucket->state[slot] = (bucket->state[slot] & ~clear) | set;
		if (is_new_answer)
			bucket->answer[slot] = answer;
		/* What is remembered of it may not count any more. */
		next_version(bucket);
		next_version(bucket);
	}
	id->place.version = version_of(bucket);
	bpf_spin_unlock(&bucket->lock);
	id->state = state;
	return 0;
}

/* Notes what a packet says of the flow that it is in; returns whether it does.
 */
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

/* The slot with the flow's tag or else the one to fill, from 0 on. */
static __always_inline __u32 slot_for(const struct flow_bucket *bucket,
				      const struct flow_id *id, __u32 now)
{
	__u32 slot = slot_with(bucket, id->tag);
	__u32 fill = slot_to_evict(bucket, id->key.ifindex, now);

	slot |= fill & mask_if_zero(slot);
	return (slot - 1) % FLOWS_PER_BUCKET;
}

/* Called with the lock. */
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

/* Has a flow that is yet to be made be as far as its first packet says. */
static __always_inline void start_flow(const struct packet *pkt,
				       struct flow_id *id)
{
	id->state = !(id->key.protocol ^ IPPROTO_TCP); /* FLOW_TCP or 0 */
	id->answer = 0;
	id->state = next_state(pkt, id);
}

/*
 * Makes the flow, unless a live one has its key, or the same hash. Returns
 * whether it is there now.
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
	else /* perhaps another CPU has just made it */
		is_ours = same_flow(flow, pkt, id, 0) &&
			  flow->original == id->original;
	bpf_spin_unlock(&bucket->lock);
	return is_ours;
}

/*
 * Makes or renews the alias of a flow whose source port was changed, in the
 * state that the flow is in. Leaves the flow to be looked up.
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
	locate_flow(pkt, id);
	bucket = bucket_of(id);
	if (bucket) {
		/* What XDP remembers of replies does not count any more. */
		bpf_spin_lock(&bucket->lock);
		next_version(bucket);
		next_version(bucket);
		bpf_spin_unlock(&bucket->lock);
	}
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
 * Brings a flow or an alias in, unless it has expired, or is there and was used
 * later.
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
	if (id.key.alias)
		locate_alias(&pkt, &id, original.destination);
	else
		locate_flow(&pkt, &id);
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
