/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The decision cache. Most packets repeat an earlier one: they belong to the
 * same flow and have no special properties. Each CPU caches the decision for a
 * packet and reuses it while the flow's bucket version is unchanged. A cached
 * decision touches few cache lines of data and code, and cache misses are most
 * of the cost of a packet.
 *
 * Each CPU has its own cache and needs no lock, since the programs run in
 * softirq context or with softirqs disabled. On PREEMPT_RT they may preempt
 * each other, so the cache is off.
 */
#ifndef XDP_PORT_DECISION_CACHE_H
#define XDP_PORT_DECISION_CACHE_H

#include "checksum.h"
#include "counters.h"
#include "flows.h"
#include "fast_path.h"

/* The hook that decided: XDP leaves some cases to tc ingress. */
enum hook {
	AT_TC_INGRESS = EGRESS,
	AT_TC_EGRESS = INGRESS,
	AT_XDP,
};

/* Identifies a packet in the cache. */
struct packet_key {
	__be32 source;
	__be32 destination;
	__be32 ports; /* both, as they are in the packet */
	__u32 ifindex;
	__u32 kind;
};

/* Combines the packet's protocol and the hook. */
static __always_inline __u8 kind_of(__u8 protocol, enum hook hook)
{
	return protocol | hook << 6; /* TCP is 6, UDP 17 */
}

/* An epoch lasts several seconds. User space knows how many jiffies that is. */
const volatile __u8 epoch_shift = 12;

static __always_inline __u8 epoch_of(__u32 now)
{
	return now >> epoch_shift;
}

/* Half a cache line. */
struct cached_decision {
	__be32 source;
	__be32 destination;
	__be32 ports;
	__u32 ifindex;
	/* The decision, and the flow that it depends on. */
	__be32 to; /* both ports */
	__u32 flow_bucket;
	__u32 flow_version;
	__u16 rule : 11;
	__u16 verdict : 2;
	__u16 flow_slot : 3;
	__u8 kind;  /* see kind_of() */
	__u8 epoch; /* of `used` in struct flow_bucket, see epoch_of() */
};

#define CACHED_DECISIONS 512

/* Entries per CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, CACHED_DECISIONS);
	__type(key, __u32);
	__type(value, struct cached_decision);
} cached_decisions SEC(".maps");

/* Whether programs on a CPU never preempt each other: false on PREEMPT_RT. */
const volatile __u8 caches_decisions = 1;

/* Returns the only entry that may hold this packet. */
static __always_inline struct cached_decision *
cache_slot(const struct packet_key *key)
{
	__u64 hash = (__u64)key->source << 32 | key->destination;
	__u32 place;

	hash = fold(hash * 0x9e3779b97f4a7c15);
	hash += (__u64)key->ifindex << 32 | key->ports;
	hash = (hash + key->kind) * 0xd6e8feb86659fd93;
	place = bpf_get_smp_processor_id() * CACHED_DECISIONS +
		(hash >> 32) % CACHED_DECISIONS;
	return bpf_map_lookup_elem(&cached_decisions, &place);
}

static __always_inline int is_for(const struct cached_decision *cached,
				  const struct packet_key *key)
{
	return cached->source == key->source &&
	       cached->destination == key->destination &&
	       cached->ports == key->ports && cached->ifindex == key->ifindex &&
	       cached->kind == key->kind;
}

__noinline int insert_decision(const struct packet *pkt, __u32 hook,
			       __u32 flow_bucket, __u32 flow_version,
			       __u32 flow_slot)
{
	const struct decision *decision = pkt ? &pkt->decision : NULL;
	struct packet_key key = {};
	struct cached_decision *cached;
	__be32 container, peer;

	if (!pkt)
		return 0;
	container = pkt->container.word[1] >> 32;
	peer = pkt->peer.word[1] >> 32;
	key.source = pkt->direction == EGRESS ? container : peer;
	key.destination = pkt->direction == EGRESS ? peer : container;
	key.ports = pkt->ports.word;
	key.ifindex = pkt->ifindex;
	key.kind = kind_of(pkt->protocol, hook);
	cached = cache_slot(&key);
	if (!cached)
		return 0;
	cached->source = key.source;
	cached->destination = key.destination;
	cached->ports = key.ports;
	cached->ifindex = key.ifindex;
	cached->kind = key.kind;
	cached->verdict = decision->verdict;
	cached->flow_slot = flow_slot - 1;
	cached->rule = decision->rule;
	cached->to = decision->ports ? decision->to : key.ports;
	cached->epoch = epoch_of(bpf_jiffies64());
	cached->flow_bucket = flow_bucket;
	cached->flow_version = flow_version;
	return 0;
}

/*
 * Caches the decision for a packet whose flow was found in the table. Rules
 * never change and the new ports depend on this flow only, so the decision is
 * valid while the bucket is unchanged.
 */
static __always_inline void cache_decision(const struct packet *pkt,
					   enum hook hook,
					   const struct flow_id *flow)
{
	if (hook == AT_XDP && is_native) /* it never uses the cache */
		return;
	if (caches_decisions && flow->place.slot && pkt->family == 4 &&
	    is_stable(flow->state))
		insert_decision(pkt, hook, flow->place.bucket,
				flow->place.version, flow->place.slot);
}

/*
 * Whether the flow is still where it was; if so, marks the flow as used. The
 * slow path handles flows that may have expired. It also sees every flow once
 * per epoch, which keeps the alias of the flow in use.
 */
static __always_inline int is_valid(const struct cached_decision *cached)
{
	__u32 number = cached->flow_bucket, slot = cached->flow_slot;
	struct flow_bucket *bucket = bpf_map_lookup_elem(&flows, &number);
	__u32 now = bpf_jiffies64();

	if (!bucket || version_of(bucket) != cached->flow_version)
		return 0;
	if (unlikely(epoch_of(now) != cached->epoch ||
		     age_of(bucket, slot % FLOWS_PER_BUCKET, now) >
			     flow_lifetime[0]))
		return 0;
	touch(bucket, slot % FLOWS_PER_BUCKET, now);
	return 1;
}

/* Returns the valid cached decision for this packet, or NULL. */
static __always_inline struct cached_decision *
look_up_decision(const struct fast_packet *fast, __u32 ifindex, enum hook hook)
{
	struct packet_key key = {
		.source = fast->ip->saddr,
		.destination = fast->ip->daddr,
		.ports = fast->ports->word,
		.ifindex = ifindex,
		.kind = kind_of(fast->ip->protocol, hook),
	};
	struct cached_decision *cached = cache_slot(&key);

	return cached && is_for(cached, &key) && is_valid(cached) ? cached
								  : NULL;
}

/* Changes the ports and returns what that means for the checksum. */
static __always_inline struct checksum_change
apply_cached(const struct cached_decision *cached,
	     const struct fast_packet *fast)
{
	const struct iphdr *ip = fast->ip;
	struct checksum_change change = {
		.offset = fast->checksum,
		.from = cached->ports,
		.to = cached->to,
		.protocol = ip->protocol,
	};

	if (!reads_skb && ip->protocol == IPPROTO_UDP && fast->checksum)
		change.pseudo = pseudo_header_sum((__u64)ip->saddr + ip->daddr,
						  fast->length, IPPROTO_UDP);
	fast->ports->word = cached->to;
	return change;
}

static __always_inline void count_cached(struct counters *counters,
					 const struct cached_decision *cached,
					 __u32 length)
{
	(&counters->passed)[cached->verdict]++;
	count_rule(counters, cached->rule, length);
}

#endif
