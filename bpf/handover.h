/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Hand-over during a replacement of rules. The programs of the new ruleset
 * replace those of the old one hook by hook. Until user space enables the
 * interface, the new programs hand each packet over to their predecessors. All
 * new rules take effect in one instant, when the entry in `counters` appears;
 * until then all old rules apply.
 */
#ifndef XDP_PORT_HANDOVER_H
#define XDP_PORT_HANDOVER_H

#include "frame.h"

/* Whether programs with functions can do tail calls (Linux 5.10). */
const volatile __u8 hands_over = 1;

/* The previous programs at the tc hooks, by direction. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u32);
} tc_predecessors SEC(".maps");

/* The previous XDP program, at index 0. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} xdp_predecessors SEC(".maps");

/*
 * Returns 0, in a way that the verifier cannot know. With a constant index the
 * kernel patches a direct jump into the code, which makes replacing the program
 * slow.
 */
static __always_inline __u32 unknown_zero(__u32 ifindex)
{
	return ifindex >> 31;
}

/* Both return if there is no predecessor. */
static __always_inline void hand_over_skb(struct __sk_buff *skb, __u8 direction)
{
	if (hands_over)
		bpf_tail_call(skb, &tc_predecessors,
			      direction + unknown_zero(skb->ifindex));
}

static __always_inline void hand_over_xdp(struct xdp_md *ctx)
{
	if (hands_over)
		bpf_tail_call(ctx, &xdp_predecessors,
			      unknown_zero(ctx->ingress_ifindex));
}

#endif
