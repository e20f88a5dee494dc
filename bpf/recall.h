/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Most packets are like one before: of a flow, and without anything special
 * about them. What was decided for that one is done again, as long as its
 * flow is where it was found. All that such a packet needs is in a few lines of
 * memory and of code, and most of what a packet costs is to have both in the
 * cache.
 *
 * Each CPU remembers for itself. Nobody comes between: the programs run in
 * softirqs or with those disabled, and on PREEMPT_RT nothing is remembered.
 */
#ifndef XDP_PORT_RECALL_H
#define XDP_PORT_RECALL_H

#include "checksum.h"
#include "counters.h"
#include "flows.h"
#include "plain.h"

/* Who decided: XDP leaves to tc ingress what that may decide. */
enum hook {
	AT_TC_INGRESS = EGRESS,
	AT_TC_EGRESS = INGRESS,
	AT_XDP,
};

/* By what packets are told apart. */
struct packet_key {
	__be32 source;
	__be32 destination;
	__be32 ports; /* both, as they are in the packet */
	__u32 ifindex;
	__u32 kind;
};

/* What protocol a packet is of, and at which hook it is. */
static __always_inline __u8 kind_of(__u8 protocol, enum hook hook)
{
	return protocol | hook << 6; /* TCP is 6, UDP 17 */
}

/* Some seconds' number: how many jiffies those are, user space knows. */
const volatile __u8 epoch_shift = 12;

static __always_inline __u8 epoch_of(__u32 now)
{
	return now >> epoch_shift;
}

/* Half a line of the cache. */
struct known_packet {
	__be32 source;
	__be32 destination;
	__be32 ports;
	__u32 ifindex;
	/* What became of it, and by which flow. */
	__be32 to; /* both ports */
	__u32 flow_bucket;
	__u32 flow_version;
	__u16 rule : 11;
	__u16 verdict : 2;
	__u16 flow_slot : 3;
	__u8 kind;  /* see kind_of() */
	__u8 epoch; /* of `used` in struct flow_bucket, see epoch_of() */
};

#define KNOWN_PACKETS 512

/* So many for each CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, KNOWN_PACKETS);
	__type(key, __u32);
	__type(value, struct known_packet);
} known_packets SEC(".maps");

/* Whether programs on one CPU run one after the other: not on PREEMPT_RT. */
const volatile __u8 remembers = 1;

/* Where a packet is remembered, if one like it is. */
static __always_inline struct known_packet *
place_of(const struct packet_key *key)
{
	__u64 hash = (__u64)key->source << 32 | key->destination;
	__u32 place;

	hash = fold(hash * 0x9e3779b97f4a7c15);
	hash += (__u64)key->ifindex << 32 | key->ports;
	hash = (hash + key->kind) * 0xd6e8feb86659fd93;
	place = bpf_get_smp_processor_id() * KNOWN_PACKETS +
		(hash >> 32) % KNOWN_PACKETS;
	return bpf_map_lookup_elem(&known_packets, &place);
}

static __always_inline int is_like(const struct known_packet *known,
				   const struct packet_key *key)
{
	return known->source == key->source &&
	       known->destination == key->destination &&
	       known->ports == key->ports && known->ifindex == key->ifindex &&
	       known->kind == key->kind;
}

__noinline int remember_packet(const struct packet *pkt, __u32 hook,
			       __u32 flow_bucket, __u32 flow_version,
			       __u32 flow_slot)
{
	const struct decision *decision = pkt ? &pkt->decision : NULL;
	struct packet_key key = {};
	struct known_packet *known;
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
	known = place_of(&key);
	if (!known)
		return 0;
	known->source = key.source;
	known->destination = key.destination;
	known->ports = key.ports;
	known->ifindex = key.ifindex;
	known->kind = key.kind;
	known->verdict = decision->verdict;
	known->flow_slot = flow_slot - 1;
	known->rule = decision->rule;
	known->to = decision->ports ? decision->to : key.ports;
	known->epoch = epoch_of(bpf_jiffies64());
	known->flow_bucket = flow_bucket;
	known->flow_version = flow_version;
	return 0;
}

/*
 * Remembers what was decided for a packet by a flow that was there. The rules
 * do not change, and the ports had to do with no other flow, so that the
 * decision stands as long as the bucket has not changed.
 */
static __always_inline void remember(const struct packet *pkt, enum hook hook,
				     const struct flow_id *flow)
{
	if (hook == AT_XDP && is_native) /* which does not look up */
		return;
	if (remembers && flow->place.slot && pkt->family == 4 &&
	    is_settled(flow->state))
		remember_packet(pkt, hook, flow->place.bucket,
				flow->place.version, flow->place.slot);
}

/*
 * Whether the flow is where it was; then it was used again. One that may have
 * expired is to be looked at, and one in use is from time to time, for the sake
 * of its alias.
 */
static __always_inline int stands(const struct known_packet *known)
{
	__u32 number = known->flow_bucket, slot = known->flow_slot;
	struct flow_bucket *bucket = bpf_map_lookup_elem(&flows, &number);
	__u32 now = bpf_jiffies64();

	if (!bucket || version_of(bucket) != known->flow_version)
		return 0;
	if (unlikely(epoch_of(now) != known->epoch ||
		     age_of(bucket, slot % FLOWS_PER_BUCKET, now) >
			     flow_lifetime[0]))
		return 0;
	touch(bucket, slot % FLOWS_PER_BUCKET, now);
	return 1;
}

/* Returns a packet that this one is like, whose decision stands, or NULL. */
static __always_inline struct known_packet *
recall(const struct plain_packet *plain, __u32 ifindex, enum hook hook)
{
	struct packet_key key = {
		.source = plain->ip->saddr,
		.destination = plain->ip->daddr,
		.ports = plain->ports->word,
		.ifindex = ifindex,
		.kind = kind_of(plain->ip->protocol, hook),
	};
	struct known_packet *known = place_of(&key);

	return known && is_like(known, &key) && stands(known) ? known : NULL;
}

/* Changes the ports as before, and tells what that means for the checksum. */
static __always_inline struct checksum_change
repeat(const struct known_packet *known, const struct plain_packet *plain)
{
	const struct iphdr *ip = plain->ip;
	struct checksum_change change = {
		.offset = plain->checksum,
		.from = known->ports,
		.to = known->to,
		.protocol = ip->protocol,
	};

	if (!reads_skb && ip->protocol == IPPROTO_UDP && plain->checksum)
		change.pseudo = pseudo_sum((__u64)ip->saddr + ip->daddr,
					   plain->length, IPPROTO_UDP);
	plain->ports->word = known->to;
	return change;
}

static __always_inline void count_known(struct counters *counters,
					const struct known_packet *known,
					__u32 length)
{
	(&counters->passed)[known->verdict]++;
	count_rule(counters, known->rule, length);
}

#endif
