// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 *  The programs on the host side of a container's veth:
 *
 *    from_container     XDP         packets that the container sends
 *    fix_up_checksum    tc ingress  fixes up checksums where XDP cannot
 *    from_container_tc  tc ingress  does the work of both in mode tc
 *    to_container       tc egress   packets that the container receives
 *
 *  A program changes the ports and the checksum that covers them, drops the
 *  packet, or passes it unchanged to the next program on the hook. It never
 *  corrupts a packet.
 */
#include "flow_import.h"
#include "handover.h"
#include "hint.h"
#include "icmp.h"

/* Missing in <linux/bpf.h> of older kernels. */
#define TCX_NEXT -1
#define TCX_DROP 2

/* Returns -1 on failure; the packet is unchanged then. */
__noinline int change_frame(struct xdp_md *ctx, const struct packet *pkt)
{
	const struct decision *decision = pkt ? &pkt->decision : NULL;
	struct checksum_change change;
	struct frame frame = xdp_frame(ctx);
	__sum16 *quoted;
	__be32 *ports;

	if (!pkt)
		return -1;
	ports = bytes_at(&frame, decision->ports, sizeof(*ports));
	if (unlikely(!ports))
		return -1;
	*ports = decision->to;
	if (unlikely(decision->quoted_checksum)) {
		quoted = bytes_at(&frame, decision->quoted_checksum,
				  sizeof(*quoted));
		if (quoted)
			*quoted = decision->quoted_value;
	}
	if (!is_native)
		return 0;
	change = checksum_change_of(pkt);
	fix_up_xdp_checksum(ctx, &change);
	return 0;
}

/*
 * Leaves the checksum to tc ingress. XDP counts the packet here, since tc
 * ingress does not decide it again. While a listener is present, tc ingress
 * counts it instead, so that the trace shows the final checksum.
 */
static __noinline void defer_checksum(struct xdp_md *ctx, struct hint *hint,
				      const struct packet *pkt)
{
	struct frame frame = xdp_frame(ctx);

	hint->transport = pkt->transport;
	hint->family = pkt->family;
	hint->protocol = pkt->protocol;
	hint->checksum = checksum_change_of(pkt);
	hint->decision = pkt->decision;
	if (!is_tracing() && count_packet(&frame, pkt))
		hint->decision.verdict = COUNTED;
	write_hint(hint, &frame, pkt->ifindex);
}

static __always_inline void decide_frame(const struct frame *frame,
					 struct packet *pkt)
{
	enum parsed parsed = classify_of(frame, pkt);

	if (parsed == PARSED_FOR_RULES) {
		decide(pkt, frame->xdp ? AT_XDP : pkt->direction);
		if (pkt->decision.ports)
			pkt->decision.checksum = pkt->checksum;
	} else if (parsed == PARSED_ICMP_ERROR && !may_defer(!!frame->xdp)) {
		decide_error_of(frame, pkt);
	}
}

/*
 * Whether the headers may lie outside the first buffer, where XDP cannot read
 * them. The kernel never splits a packet there, but a program that redirects to
 * the device may. That packet must not bypass the rules.
 */
static __always_inline int may_hide_headers(const struct frame *frame,
					    const struct packet *pkt)
{
	__u32 linear = frame->data_end - frame->data;

	return pkt->decision.verdict == MALFORMED && linear < frame->length;
}

/*
 * Processes any packet by its rule and its flow. A global function, so that the
 * verifier checks it only once.
 */
__noinline int process_frame(struct xdp_md *ctx, struct hint *hint)
{
	struct frame frame = xdp_frame(ctx);
	struct packet pkt = {
		.ifindex = ctx->ingress_ifindex,
		.length = frame.length,
		.direction = EGRESS,
	};

	if (!hint)
		return XDP_PASS;
	decide_frame(&frame, &pkt);
	if (pkt.decision.ports && change_frame(ctx, &pkt))
		pkt.decision = (struct decision){ .verdict = MALFORMED };
	if (is_native && may_hide_headers(&frame, &pkt))
		pkt.decision.verdict = DROPPED;
	if (is_native || pkt.decision.verdict == DROPPED)
		count_packet(&frame, &pkt);
	else if (pkt.decision.ports)
		defer_checksum(ctx, hint, &pkt);
	return pkt.decision.verdict == DROPPED ? XDP_DROP : XDP_PASS;
}

/* Whether no rule matches the packet. */
static __always_inline int is_unmatched(const struct fast_packet *fast,
					__u8 direction)
{
	return matches_no_rule(look_up_port(direction, fast->protocol,
					    fast->ports->destination),
			       look_up_port(!direction, fast->protocol,
					    fast->ports->source));
}

/* Whether XDP in generic mode only drops, see decides_drops_only(). */
static __always_inline int is_for_drops_only(const struct fast_packet *fast)
{
	return unlikely(!fast->checksum || fast->network != HINT_NETWORK);
}

/*
 * Whether XDP in generic mode leaves the packet to tc ingress: no rule matches,
 * or XDP only drops and no rule does that.
 */
static __always_inline int is_left_to_tc(const struct fast_packet *fast)
{
	__u16 forward =
		look_up_port(EGRESS, fast->protocol, fast->ports->destination);
	__u16 reply =
		look_up_port(INGRESS, fast->protocol, fast->ports->source);
	struct rule *rule;

	if (matches_no_rule(forward, reply))
		return 1;
	if (!is_for_drops_only(fast))
		return 0;
	if (reply & PORT_IS_TARGET) /* it may be a reply */
		return 1;
	if (forward & PORT_BY_ADDRESS)
		return 0;
	rule = rule_at(forward & PORT_ID_MASK);
	return !rule || rule->action != RULE_DROP;
}

/*
 * Processes a fast-path packet that has a cached decision or matches no rule.
 * Returns 0 if process_frame() must handle the packet: for all others, and for
 * interfaces that are not enabled. Compiled once per family, for speed.
 */
static __always_inline int process_fast_family(const struct frame *frame,
					       struct fast_packet *fast,
					       __u8 family, struct hint *hint,
					       __u32 ifindex)
{
	struct cached_decision *cached;
	struct counters *counters;

	if (!read_fast_packet(frame, fast, family))
		return 0;
	cached = is_for_drops_only(fast)
			 ? NULL
			 : look_up_decision(fast, ifindex, AT_XDP);
	if (!cached) /* tc ingress counts deferred packets */
		return is_left_to_tc(fast);
	counters = fast_counters_of(ifindex);
	if (unlikely(!counters))
		return 0;
	hint->transport = transport_of(fast);
	hint->family = family;
	hint->protocol = fast->protocol;
	hint->checksum = apply_cached(cached, fast);
	hint->decision.verdict = COUNTED;
	count_cached(counters, cached, frame->length);
	write_hint(hint, frame, ifindex);
	return 1;
}

/* While a listener wants events, process_frame() handles all packets. */
static __always_inline int process_fast_frame(struct xdp_md *ctx,
					      struct hint *hint)
{
	__u32 ifindex = ctx->ingress_ifindex;
	struct frame frame = xdp_frame(ctx);
	struct fast_packet fast;

	if (is_tracing())
		return 0;
	switch (find_fast_ip(&frame, &fast)) {
	case 4:
		return process_fast_family(&frame, &fast, 4, hint, ifindex);
	case 6:
		return process_fast_family(&frame, &fast, 6, hint, ifindex);
	}
	return 0;
}

SEC("xdp.frags")
int from_container(struct xdp_md *ctx)
{
	struct hint *hint = this_cpu_hint();

	if (unlikely(!hint))
		return XDP_PASS;
	if (is_native) {
		if (!counters_of(ctx->ingress_ifindex)) {
			hand_over_xdp(ctx);
			return XDP_PASS;
		}
		return process_frame(ctx, hint);
	}
	hint->ifindex = 0;
	if (process_fast_frame(ctx, hint))
		return XDP_PASS;
	return process_frame(ctx, hint);
}

/* Returns -1 if memory is short; the packet must be dropped then. */
__noinline int change_skb(struct __sk_buff *skb, const struct packet *pkt)
{
	const struct decision *decision = pkt ? &pkt->decision : NULL;
	struct frame frame = skb_frame(skb);
	struct checksum_change change;
	__be32 *ports;

	if (!pkt)
		return -1;
	ports = bytes_at(&frame, decision->ports, sizeof(*ports));
	if (unlikely(!ports))
		return -1;
	*ports = decision->to;
	if (unlikely(decision->quoted_checksum) &&
	    bpf_skb_store_bytes(skb, decision->quoted_checksum,
				&decision->quoted_value,
				sizeof(decision->quoted_value), 0))
		return -1;
	change = checksum_change_of(pkt);
	fix_up_skb_checksum(skb, &change);
	return 0;
}

/*
 * Whether to parse the packet again after pulling more of it into the linear
 * part of the skb. Headers are nearly always there already.
 */
static __always_inline int needs_pull(const struct frame *frame,
				      const struct packet *pkt)
{
	__u32 linear = frame->data_end - frame->data;

	return linear < frame->length && (pkt->decision.verdict == MALFORMED ||
					  pkt->protocol == IPPROTO_ICMP ||
					  pkt->protocol == IPPROTO_ICMPV6);
}

static __always_inline struct packet skb_packet(const struct __sk_buff *skb,
						__u8 direction)
{
	struct packet pkt = {
		.ifindex = skb->ifindex,
		.length = skb->len,
		.direction = direction,
	};

	return pkt;
}

static __always_inline void decide_skb(struct __sk_buff *skb,
				       struct packet *pkt)
{
	struct frame frame = skb_frame(skb);

	decide_frame(&frame, pkt);
}

/* Like process_frame(), for an skb. */
__noinline int process_skb(struct __sk_buff *skb, __u32 direction)
{
	struct frame frame = skb_frame(skb);
	struct packet pkt = skb_packet(skb, direction);

	decide_skb(skb, &pkt);
	if (unlikely(needs_pull(&frame, &pkt))) {
		if (bpf_skb_pull_data(skb, skb->len < MAX_OFFSET ? skb->len
								 : MAX_OFFSET))
			return TCX_DROP;
		pkt = skb_packet(skb, direction);
		decide_skb(skb, &pkt);
	}
	if (pkt.decision.ports && change_skb(skb, &pkt))
		return TCX_DROP;
	count_packet(&frame, &pkt);
	return pkt.decision.verdict == DROPPED ? TCX_DROP : TCX_NEXT;
}

/* Like process_fast_family(), for an enabled interface. */
static __always_inline int process_fast_skb_family(struct __sk_buff *skb,
						   const struct frame *frame,
						   struct fast_packet *fast,
						   __u8 family, __u8 direction,
						   struct counters *counters)
{
	struct cached_decision *cached;
	struct checksum_change change;

	if (!read_fast_packet(frame, fast, family))
		return 0;
	cached = look_up_decision(fast, skb->ifindex, direction);
	if (cached) {
		count_cached(counters, cached, frame->length);
		if (unlikely(cached->verdict == PASSED))
			return 1;
		change = apply_cached(cached, fast);
		fix_up_skb_checksum(skb, &change);
		return 1;
	}
	if (!is_unmatched(fast, direction))
		return 0;
	counters->passed++;
	return 1;
}

/* Like process_fast_frame(), for an enabled interface. */
static __always_inline int process_fast_skb(struct __sk_buff *skb,
					    __u8 direction,
					    struct counters *counters)
{
	struct frame frame = skb_frame(skb);
	struct fast_packet fast;

	if (is_tracing())
		return 0;
	switch (find_fast_ip(&frame, &fast)) {
	case 4:
		return process_fast_skb_family(skb, &frame, &fast, 4, direction,
					       counters);
	case 6:
		return process_fast_skb_family(skb, &frame, &fast, 6, direction,
					       counters);
	}
	return 0;
}

/* Does the whole work at a tc hook. */
static __always_inline int process_at_tc(struct __sk_buff *skb, __u8 direction)
{
	struct counters *fast = fast_counters_of(skb->ifindex);

	if (likely(fast)) {
		if (process_fast_skb(skb, direction, fast))
			return TCX_NEXT;
	} else if (!counters_of(skb->ifindex)) {
		hand_over_skb(skb, direction);
		return TCX_NEXT;
	}
	return process_skb(skb, direction);
}

/*
 * Completes the work of XDP in generic mode. XDP has not counted the packet if
 * a listener asked for events, or if the interface was not enabled.
 */
static __always_inline int
apply_hint(struct __sk_buff *skb, const struct frame *frame, struct hint *hint)
{
	int is_counted = hint->decision.verdict == COUNTED;
	struct counters *counters;

	counters = likely(is_counted) ? NULL : counters_of(skb->ifindex);
	if (unlikely(!is_counted && !counters))
		hand_over_skb(skb, EGRESS);
	clear_hint(hint);
	fix_up_skb_checksum(skb, &hint->checksum);
	if (unlikely(counters))
		count(counters, frame, EGRESS, &hint->decision, hint->length);
	return TCX_NEXT;
}

/*
 * Behind XDP in generic mode. Does all of the work if XDP did not see the
 * packet. In native mode nothing is left to do: the program is attached only
 * while it replaces, or is replaced by, a build that needs it.
 */
SEC("tc")
int fix_up_checksum(struct __sk_buff *skb)
{
	struct frame frame = skb_frame(skb);
	struct hint *hint;

	if (is_native) {
		if (!counters_of(skb->ifindex))
			hand_over_skb(skb, EGRESS);
		return TCX_NEXT;
	}
	hint = this_cpu_hint();
	if (unlikely(!hint))
		return TCX_NEXT;
	if (!hint_matches(hint, &frame, skb->ifindex)) {
		clear_hint(hint);
		return process_at_tc(skb, EGRESS);
	}
	return apply_hint(skb, &frame, hint);
}

SEC("tc")
int from_container_tc(struct __sk_buff *skb)
{
	return process_at_tc(skb, EGRESS);
}

SEC("tc")
int to_container(struct __sk_buff *skb)
{
	return process_at_tc(skb, INGRESS);
}

/*
 * Not attached to any hook. User space runs it to import one flow, which
 * follows the Ethernet header. If the table has the flow already, the one used
 * later stays.
 */
SEC("tc")
int import_flow(struct __sk_buff *skb)
{
	struct flow_record record;

	if (bpf_skb_load_bytes(skb, ETH_HLEN, &record, sizeof(record)))
		return -1;
	return import_record(&record);
}

char _license[] SEC("license") = "Dual BSD/GPL";
