/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The slots of a bucket: finding one by its tag, and choosing one for a new
 * flow. In a full bucket, a new flow evicts an expired one, or else a flow of
 * the container with the most flows there.
 */
#ifndef XDP_PORT_FLOW_BUCKET_H
#define XDP_PORT_FLOW_BUCKET_H

#include "branchless.h"
#include "flow_id.h"

/* Maximum idle time of a flow by its state, in jiffies. */
const volatile __u32 flow_lifetime[FLOW_STATES];
/*
 * Of two flows that have not expired, the one with the higher rank is evicted.
 */
const volatile __u8 flow_rank[FLOW_STATES];

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

/* Marks the flow as used. */
static __always_inline void touch(struct flow_bucket *bucket, __u32 slot,
				  __u32 now)
{
	if (bucket->used[slot] != now)
		bucket->used[slot] = now;
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

#endif
