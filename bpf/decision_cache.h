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

/* Combines the packet's family and protocol with the hook. */
static __always_inline __u8 kind_of(__u8 family, __u8 protocol, enum hook hook)
{
	/* TCP is 6, UDP 17 */
	return protocol | (family == 6) << 5 | hook << 6;
}

/* An epoch lasts several seconds. User space knows how many jiffies that is. */
const volatile __u8 epoch_shift = 12;

static __always_inline __u8 epoch_of(__u32 now)
{
	return now >> epoch_shift;
}

/* A cache line. */
struct cached_decision {
	struct address source; /* as in struct packet */
	struct address destination;
	__be32 ports; /* both, as they are in the packet */
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
	__u64 pad;
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

static __always_inline __u64 mix_addresses(const struct address *source,
					   const struct address *destination)
{
	return source->word[0] + destination->word[0] * 0x94d049bb133111eb +
	       (source->word[1] + destination->word[1] * 0xbf58476d1ce4e5b9) *
		       0x9e3779b97f4a7c15;
}

/* The same for IPv4 packets: only one half of their addresses differs. */
static __always_inline __u64 mix_ipv4(__be32 source, __be32 destination)
{
	return ((__u64)source << 32 | destination) * 0x9e3779b97f4a7c15;
}

/*
 * Returns the only entry that may hold a packet with these addresses, see
 * mix_addresses(), and these ports.
 */
static __always_inline struct cached_decision *
cache_slot(__u64 addresses, __be32 ports, __u32 ifindex, __u8 kind)
{
	__u64 hash = fold(addresses);
	__u32 place;

	hash += (__u64)ifindex << 32 | ports;
	hash = (hash + kind) * 0xd6e8feb86659fd93;
	place = bpf_get_smp_processor_id() * CACHED_DECISIONS +
		(hash >> 32) % CACHED_DECISIONS;
	return bpf_map_lookup_elem(&cached_decisions, &place);
}

/* The IPv4 address of a v4-mapped one. */
static __always_inline __be32 ipv4_of(const struct address *address)
{
	return address->word[1] >> 32;
}

__noinline int insert_decision(const struct packet *pkt, __u32 hook,
			       __u32 flow_bucket, __u32 flow_version,
			       __u32 flow_slot)
{
	const struct decision *decision = pkt ? &pkt->decision : NULL;
	const struct address *source, *destination;
	struct cached_decision *cached;
	__u8 kind;

	if (!pkt)
		return 0;
	source = pkt->direction == EGRESS ? &pkt->container : &pkt->peer;
	destination = pkt->direction == EGRESS ? &pkt->peer : &pkt->container;
	kind = kind_of(pkt->family, pkt->protocol, hook);
	cached =
		cache_slot(pkt->family == 6 ? mix_addresses(source, destination)
					    : mix_ipv4(ipv4_of(source),
						       ipv4_of(destination)),
			   pkt->ports.word, pkt->ifindex, kind);
	if (!cached)
		return 0;
	cached->source = *source;
	cached->destination = *destination;
	cached->ports = pkt->ports.word;
	cached->ifindex = pkt->ifindex;
	cached->kind = kind;
	cached->verdict = decision->verdict;
	cached->flow_slot = flow_slot - 1;
	cached->rule = decision->rule;
	cached->to = decision->ports ? decision->to : pkt->ports.word;
	cached->epoch = epoch_of(bpf_jiffies64());
	cached->flow_bucket = flow_bucket;
	cached->flow_version = flow_version;
	return 0;
}

/*
 * Caches the decision for a packet with a flow in the table. Rules
 * never change and the new ports depend on this flow only, so the decision is
 * valid while the bucket is unchanged.
 */
static __always_inline void cache_decision(const struct packet *pkt,
					   enum hook hook,
					   const struct flow_id *flow)
{
	if (hook == AT_XDP && is_native) /* it never uses the cache */
		return;
	if (caches_decisions && flow->place.slot && is_stable(flow->state))
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

static __always_inline const struct address *
source_of(const struct fast_packet *fast)
{
	return fast->ip + offsetof(struct ipv6hdr, saddr);
}

static __always_inline const struct address *
destination_of(const struct fast_packet *fast)
{
	return fast->ip + offsetof(struct ipv6hdr, daddr);
}

static __always_inline int has_addresses(const struct cached_decision *cached,
					 const struct fast_packet *fast)
{
	const struct iphdr *ipv4 = fast->ip;

	if (fast->family == 6)
		return same_address(&cached->source, source_of(fast)) &&
		       same_address(&cached->destination, destination_of(fast));
	return ipv4_of(&cached->source) == ipv4->saddr &&
	       ipv4_of(&cached->destination) == ipv4->daddr;
}

/* Returns the valid cached decision for this packet, or NULL. */
static __always_inline struct cached_decision *
look_up_decision(const struct fast_packet *fast, __u32 ifindex, enum hook hook)
{
	__u8 kind = kind_of(fast->family, fast->protocol, hook);
	const struct iphdr *ipv4 = fast->ip;
	__be32 ports = fast->ports->word;
	struct cached_decision *cached;

	cached = cache_slot(fast->family == 6
				    ? mix_addresses(source_of(fast),
						    destination_of(fast))
				    : mix_ipv4(ipv4->saddr, ipv4->daddr),
			    ports, ifindex, kind);
	if (!cached || cached->kind != kind || cached->ports != ports ||
	    cached->ifindex != ifindex || !has_addresses(cached, fast))
		return NULL;
	return is_valid(cached) ? cached : NULL;
}

/* The sum of the 32-bit words of both addresses, see pseudo_header_sum(). */
static __always_inline __u64 sum_addresses(const struct fast_packet *fast)
{
	const struct iphdr *ipv4 = fast->ip;
	const __be32 *word = (void *)source_of(fast);

	if (fast->family == 4)
		return (__u64)ipv4->saddr + ipv4->daddr;
	return (__u64)word[0] + word[1] + word[2] + word[3] + word[4] +
	       word[5] + word[6] + word[7];
}

/* Changes the ports and returns what that means for the checksum. */
static __always_inline struct checksum_change
apply_cached(const struct cached_decision *cached,
	     const struct fast_packet *fast)
{
	struct checksum_change change = {
		.offset = fast->checksum,
		.from = cached->ports,
		.to = cached->to,
		.protocol = fast->protocol,
	};

	if (!reads_skb && fast->protocol == IPPROTO_UDP && fast->checksum)
		change.pseudo = pseudo_header_sum(sum_addresses(fast),
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
