/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Counters of each container, by the ifindex of its host-side veth. User space
 * makes the entry when it has attached everything and deletes it before it
 * detaches: without an entry the programs leave every packet alone, so that a
 * container is never half under its rules.
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
 * A hash look-up reads a handful of lines of memory. So some devices, those
 * that find a place here by the end of their ifindex, have counters in an array
 * as well, which count besides, as long as fast_counter_owners says whose they
 * are. That is only while they are in `counters`.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} fast_counter_owners SEC(".maps");

/* For each place there are as many as there are CPUs. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct counters);
} fast_counters SEC(".maps");

/* One less than how many places there are, a power of two. */
const volatile __u32 fast_counter_mask;
const volatile __u32 cpu_count = 1;

/* NULL if the device has none there. */
static __always_inline struct counters *fast_counters_of(__u32 ifindex)
{
	__u32 place = ifindex & fast_counter_mask;
	__u32 *device = bpf_map_lookup_elem(&fast_counter_owners, &place);

	if (unlikely(!device || *device != ifindex))
		return NULL;
	place = place * cpu_count + bpf_get_smp_processor_id();
	return bpf_map_lookup_elem(&fast_counters, &place);
}

/* NULL if the device is not heeded. */
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
 * Where packets are counted and traced, whatever became of them. Only those
 * that process_fast_frame() and process_fast_skb() are done with are counted
 * there, which is while nobody listens.
 */
static __always_inline void count(struct counters *counters,
				  const struct frame *frame, __u8 direction,
				  const struct decision *decision, __u32 length)
{
	__u32 verdict = decision->verdict;

	if (unlikely(verdict >= DEFERRED)) /* somebody else counts it */
		return;
	(&counters->passed)[verdict]++;
	if (unlikely(decision->events))
		count_events(counters, decision->events);
	count_rule(counters, decision->rule, length);
	trace_packet(frame, decision, direction);
}

/* The same for who has not asked for the counters; returns whether there are
 * any.
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
