/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The rules of a running container are exchanged by putting the programs of the
 * new ruleset in the place of the old ones, hook by hook. Until they heed the
 * device, they hand each of its packets over to the program that was there
 * before. So the container comes under its new rules in one instant, when
 * `counters` gets its entry, and stays wholly under the old ones until then.
 */
#ifndef XDP_PORT_HANDOVER_H
#define XDP_PORT_HANDOVER_H

#include "frame.h"

/* Whether the kernel has tail calls in programs with functions (Linux 5.10). */
const volatile __u8 hands_over = 1;

/* The programs before these, by the direction that they are about. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u32);
} tc_predecessors SEC(".maps");

/* The same for XDP, at 0. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} xdp_predecessors SEC(".maps");

/*
 * 0, which the verifier does not know: it would have the kernel patch a jump to
 * a known program into the code, which makes exchanging it slow.
 */
static __always_inline __u32 unknown_zero(__u32 ifindex)
{
	return ifindex >> 31;
}

/* Both return where there was no program before. */
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
