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

static __always_inline struct counters *counters_of(__u32 ifindex)
{
	return bpf_map_lookup_elem(&counters, &ifindex);
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

/* The one place where packets are counted and traced, whatever became of them.
 */
static __always_inline void count(struct counters *counters,
				  const struct frame *frame, __u8 direction,
				  const struct decision *decision, __u32 length)
{
	__u32 verdict = decision->verdict;

	if (unlikely(verdict >= DEFERRED)) /* somebody else counts it */
		return;
	(&counters->passed)[verdict]++;
	counters->flow_conflicts += decision->flow_conflict;
	count_rule(counters, decision->rule, length);
	trace_packet(frame, decision, direction);
}

#endif
