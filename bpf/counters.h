/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Counters of each container, by the ifindex of its host-side veth. User space
 * creates the entry after it has attached all programs, and deletes it before
 * it detaches any. Without an entry the programs leave every packet alone, so
 * that rules apply to a container completely or not at all.
 */
#ifndef XDP_PORT_COUNTERS_H
#define XDP_PORT_COUNTERS_H

#include "rules.h"
#include "trace.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, struct counters);
} counters SEC(".maps");

/*
 * Fast-path counters. A hash look-up touches several cache lines, an array
 * look-up few. The low bits of an ifindex select a place in the array. The
 * interface in fast_counter_owners[place] counts there, in addition to its
 * entry in `counters`. User space sets an owner only while that entry exists.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} fast_counter_owners SEC(".maps");

/* Each place has one element per CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct counters);
} fast_counters SEC(".maps");

/* The number of places, a power of two, minus one. */
const volatile __u32 fast_counter_mask;
const volatile __u32 cpu_count = 1;

/* NULL if another interface, or none, owns the place. */
static __always_inline struct counters *fast_counters_of(__u32 ifindex)
{
	__u32 place = ifindex & fast_counter_mask;
	__u32 *device = bpf_map_lookup_elem(&fast_counter_owners, &place);

	if (unlikely(!device || *device != ifindex))
		return NULL;
	place = place * cpu_count + bpf_get_smp_processor_id();
	return bpf_map_lookup_elem(&fast_counters, &place);
}

/* NULL if the interface is not enabled. */
static __always_inline struct counters *counters_of(__u32 ifindex)
{
	struct counters *fast = fast_counters_of(ifindex);

	return fast ? fast : bpf_map_lookup_elem(&counters, &ifindex);
}

static __always_inline void count_rule(struct counters *counters, __u32 rule,
				       __u32 length)
{
	__u32 index = rule - 1;

	if (index >= rule_count)
		return;
	counters->rules[index].packets++;
	counters->rules[index].bytes += length;
}

static __always_inline void count_events(struct counters *counters,
					 __u32 events)
{
	counters->ports_moved += !!(events & PORT_MOVED);
	counters->ports_exhausted += !!(events & PORTS_EXHAUSTED);
	counters->flows_evicted += !!(events & FLOW_EVICTED);
	counters->flows_evicted_live += !!(events & FLOW_EVICTED_LIVE);
}

/*
 * Counts and traces a packet, whatever its verdict. Only process_fast_frame()
 * and process_fast_skb() count packets elsewhere, and only while no listener
 * wants events.
 */
static __always_inline void count(struct counters *counters,
				  const struct frame *frame, __u8 direction,
				  const struct decision *decision, __u32 length)
{
	__u32 verdict = decision->verdict;

	if (unlikely(verdict >= DEFERRED)) /* another hook counts it */
		return;
	(&counters->passed)[verdict]++;
	if (unlikely(decision->events))
		count_events(counters, decision->events);
	count_rule(counters, decision->rule, length);
	trace_packet(frame, decision, direction);
}

/*
 * Like count(), for callers without the counters. Returns whether the interface
 * has any.
 */
static __always_inline int count_packet(const struct frame *frame,
					const struct packet *pkt)
{
	struct counters *counters = counters_of(pkt->ifindex);

	if (counters)
		count(counters, frame, pkt->direction, &pkt->decision,
		      pkt->length);
	return !!counters;
}

#endif
