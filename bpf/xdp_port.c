// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The programs on the host side of a container's veth:
 *
 *   from_container     XDP         what the container sends
 *   settle_checksum    tc ingress  completes what XDP cannot know
 *   from_container_tc  tc ingress  both in one, where XDP is not wanted
 *   to_container       tc egress   what the container receives
 *
 * They change ports and the checksum over them, or drop, or let the packet
 * through to whoever else is on the hook; they never make a packet worse.
 */
#include "handover.h"
#include "icmp.h"

/* What <linux/bpf.h> of older kernels lacks. */
#define TCX_NEXT -1
#define TCX_DROP 2

/*
 * Changes the frame and, with metadata, leaves the note there. Returns -1 where
 * that cannot be done, and then the packet is as it was.
 */
__noinline int change_frame(struct xdp_md *ctx, const struct packet *pkt)
{
	const struct decision *decision = pkt ? &pkt->decision : NULL;
	struct frame frame;
	struct note *note;
	__sum16 *quoted;
	__be32 *ports;

	if (!pkt)
		return -1;
	if (note_in_metadata && decision->checksum) {
		if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*note)))
			return -1;
		note = (void *)(long)ctx->data_meta;
		if ((void *)(note + 1) > (void *)(long)ctx->data)
			return -1;
		write_note(note, pkt);
	}
	frame = xdp_frame(ctx);
	ports = bytes_at(&frame, decision->ports, sizeof(*ports));
	if (unlikely(!ports))
		return -1;
	*ports = decision->to;
	if (likely(!decision->quoted_checksum))
		return 0;
	quoted = bytes_at(&frame, decision->quoted_checksum, sizeof(*quoted));
	if (quoted)
		*quoted = decision->quoted_value;
	return 0;
}

/*
 * Leaves to tc ingress what is left to do. A packet that XDP changed does not
 * come again, so it is counted here; but not while somebody listens, who is to
 * see it with its checksum settled.
 */
static __always_inline void leave_note(struct seen *seen,
				       const struct frame *frame,
				       const struct packet *pkt)
{
	seen->decision = pkt->decision;
	write_note(&seen->note, pkt);
	if (pkt->decision.ports && !is_traced() && count_packet(frame, pkt))
		seen->decision.verdict = COUNTED;
}

/*
 * Any packet, as its rule and its flow say. A global function, for the verifier
 * to walk it once.
 */
__noinline int process_frame(struct xdp_md *ctx, struct seen *seen)
{
	struct frame frame = xdp_frame(ctx);
	struct packet pkt = {
		.ifindex = ctx->ingress_ifindex,
		.length = frame.length,
		.direction = EGRESS,
	};

	if (!seen)
		return XDP_PASS;
	if (examine_of(&frame, &pkt) == PARSED_ICMP_ERROR && !may_defer(&frame))
		decide_error_of(&frame, &pkt);
	if (pkt.decision.verdict == DEFERRED)
		return XDP_PASS;
	if (pkt.decision.ports && change_frame(ctx, &pkt))
		pkt.decision = (struct decision){ .verdict = MALFORMED };
	if (pkt.decision.verdict != DROPPED && !note_in_metadata)
		leave_note(seen, &frame, &pkt);
	else
		count_packet(&frame, &pkt);
	return pkt.decision.verdict == DROPPED ? XDP_DROP : XDP_PASS;
}

/* Whether no rule is about such a packet. */
static __always_inline int is_left_alone(const struct plain_packet *plain,
					 __u8 direction)
{
	__u8 protocol = plain->ip->protocol;

	return is_nobodys_business(
		look_up_port(direction, protocol, plain->ports->destination),
		look_up_port(!direction, protocol, plain->ports->source));
}

/*
 * What most packets are: plain, and either like one before or nobody's
 * business. Returns 0 for others, while somebody listens, who is to hear of
 * each, and for devices that are not heeded.
 */
static __always_inline int process_plain_frame(struct xdp_md *ctx,
					       struct seen *seen)
{
	__u32 ifindex = ctx->ingress_ifindex;
	struct frame frame = xdp_frame(ctx);
	struct known_packet *known;
	struct counters *counters;
	struct plain_packet plain;

	if (is_traced() || !read_plain(&frame, &plain))
		return 0;
	known = recall(&plain, ifindex, AT_XDP);
	if (known) {
		counters = near_counters_of(ifindex);
		if (unlikely(!counters))
			return 0;
		repeat(known, &plain, frame.length, &seen->note);
		count_known(counters, known, frame.length);
		seen->decision.verdict = COUNTED;
		return 1;
	}
	if (!is_left_alone(&plain, EGRESS))
		return 0;
	seen->decision = (struct decision){ .verdict = PASSED };
	seen->note =
		(struct note){ .magic = NOTE_MAGIC, .length = frame.length };
	return 1;
}

SEC("xdp.frags")
int from_container(struct xdp_md *ctx)
{
	struct seen *seen = this_cpus_slot();

	if (unlikely(!seen))
		return XDP_PASS;
	seen->note.magic = 0;
	if (note_in_metadata) {
		if (!counters_of(ctx->ingress_ifindex)) {
			hand_over_xdp(ctx);
			return XDP_PASS;
		}
	} else if (process_plain_frame(ctx, seen)) {
		return XDP_PASS;
	}
	return process_frame(ctx, seen);
}

/* Returns -1 where memory is short; the packet is of no use then. */
__noinline int change_skb(struct __sk_buff *skb, const struct packet *pkt)
{
	const struct decision *decision = pkt ? &pkt->decision : NULL;
	struct frame frame = skb_frame(skb);
	struct note note = {};
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
	write_note(&note, pkt);
	settle(skb, &note);
	return 0;
}

/*
 * Whether the packet has to be looked at again with more of it in the linear
 * part, where headers mostly are.
 */
static __always_inline int lacks_bytes(const struct frame *frame,
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

	if (examine_of(&frame, pkt) == PARSED_ICMP_ERROR)
		decide_error_of(&frame, pkt);
}

/* As process_frame(). */
__noinline int process_skb(struct __sk_buff *skb, __u32 direction)
{
	struct frame frame = skb_frame(skb);
	struct packet pkt = skb_packet(skb, direction);

	decide_skb(skb, &pkt);
	if (unlikely(lacks_bytes(&frame, &pkt))) {
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

/* As process_plain_frame(), of a device that is heeded. */
static __always_inline int process_plain_skb(struct __sk_buff *skb,
					     __u8 direction,
					     struct counters *counters)
{
	struct frame frame = skb_frame(skb);
	struct known_packet *known;
	struct plain_packet plain;
	struct note note;

	if (is_traced() || !read_plain(&frame, &plain))
		return 0;
	known = recall(&plain, skb->ifindex, direction);
	if (known) {
		repeat(known, &plain, frame.length, &note);
		count_known(counters, known, frame.length);
		settle(skb, &note);
		return 1;
	}
	if (!is_left_alone(&plain, direction))
		return 0;
	counters->passed++;
	return 1;
}

/* What XDP does, at a tc hook. */
static __always_inline int see_skb(struct __sk_buff *skb, __u8 direction)
{
	struct counters *near = near_counters_of(skb->ifindex);

	if (likely(near)) {
		if (process_plain_skb(skb, direction, near))
			return TCX_NEXT;
	} else if (!counters_of(skb->ifindex)) {
		hand_over_skb(skb, direction);
		return TCX_NEXT;
	}
	return process_skb(skb, direction);
}

static __always_inline int settle_from_metadata(struct __sk_buff *skb)
{
	struct note *found = (void *)(long)skb->data_meta;
	struct note note;

	if ((void *)(found + 1) > (void *)(long)skb->data ||
	    found->magic != NOTE_MAGIC)
		return TCX_NEXT;
	found->magic = 0;
	note = *found; /* settling invalidates pointers into the packet */
	settle(skb, &note);
	return TCX_NEXT;
}

/* Completes what XDP did, or does it where XDP did not. */
SEC("tc")
int settle_checksum(struct __sk_buff *skb)
{
	struct frame frame = skb_frame(skb);
	struct counters *counters;
	struct seen *slot;

	if (note_in_metadata)
		return settle_from_metadata(skb);
	slot = this_cpus_slot();
	if (unlikely(!slot))
		return TCX_NEXT;
	if (unlikely(slot->note.magic != NOTE_MAGIC))
		return see_skb(skb, EGRESS);
	if (likely(slot->decision.verdict == COUNTED)) {
		slot->note.magic = 0;
		settle(skb, &slot->note);
		return TCX_NEXT;
	}
	counters = counters_of(skb->ifindex);
	if (!counters) {
		/* XDP of this ruleset does not ask for every packet whether it
		 * is heeded: the program before is to look at it itself. */
		if (!slot->decision.ports)
			slot->note.magic = 0;
		hand_over_skb(skb, EGRESS);
	}
	slot->note.magic = 0;
	settle(skb, &slot->note);
	if (counters)
		count(counters, &frame, EGRESS, &slot->decision,
		      slot->note.length);
	return TCX_NEXT;
}

SEC("tc")
int from_container_tc(struct __sk_buff *skb)
{
	return see_skb(skb, EGRESS);
}

SEC("tc")
int to_container(struct __sk_buff *skb)
{
	return see_skb(skb, INGRESS);
}

/*
 * Not for a hook: user space runs it to bring a flow, which is behind the
 * Ethernet header, into the table. One that is there stays as it is.
 */
SEC("tc")
int import_flow(struct __sk_buff *skb)
{
	struct flow flow;
	struct flow_id id;

	if (bpf_skb_load_bytes(skb, ETH_HLEN, &flow, sizeof(flow)))
		return -1;
	id.container = flow.container;
	id.peer = flow.peer;
	id.key = flow.key;
	place_flow(&id);
	add_flow(&id, flow.original_port);
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
