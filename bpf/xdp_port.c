// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The programs on the host side of a container's veth:
 *
 *   from_container   XDP         what the container sends
 *   settle_checksum  tc ingress  completes what XDP cannot know
 *   to_container     tc egress   what the container receives
 *
 * They change a port and the checksum over it, or drop, or let the packet
 * through to whoever else is on the hook; they never make a packet worse.
 */
#include "icmp.h"

/* What <linux/bpf.h> of older kernels lacks. */
#define TCX_NEXT -1
#define TCX_DROP 2

/*
 * Whether XDP may see a packet again: generic XDP does when the packet was sent
 * through an ifb device, as the bandwidth plugin does, and tc ingress does not.
 */
const volatile __u8 sees_packets_twice;

/*
 * Leaves a note for tc ingress. Returns -1 when there is no place for it, and
 * then the packet must stay as it is.
 */
static __always_inline int leave_note(struct xdp_md *ctx, enum note_kind kind,
				      const struct packet *pkt)
{
	const struct decision *decision = &pkt->decision;
	struct note *note = this_cpus_note();

	if (note_in_metadata) {
		if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*note)))
			return -1;
		note = (void *)(long)ctx->data_meta;
		if ((void *)(note + 1) > (void *)(long)ctx->data)
			return -1;
	}
	if (!note)
		return -1;
	note->length = pkt->length;
	note->checksum = decision->checksum;
	note->from = decision->from;
	note->to = decision->to;
	note->protocol = pkt->protocol;
	note->kind = kind;
	return 0;
}

static __always_inline void clear_note(void)
{
	struct note *note = this_cpus_note();

	if (!note_in_metadata && note)
		note->kind = NOTE_NONE;
}

static __always_inline int change_frame(struct xdp_md *ctx,
					const struct packet *pkt)
{
	const struct decision *decision = &pkt->decision;
	struct frame frame;
	__sum16 *quoted;
	__be16 *port;

	if (decision->checksum && leave_note(ctx, NOTE_CHECKSUM, pkt))
		return -1;
	frame = xdp_frame(ctx);
	port = bytes_at(&frame, decision->port, sizeof(*port));
	if (!port)
		return -1;
	*port = decision->to;
	if (!decision->quoted_checksum)
		return 0;
	quoted = bytes_at(&frame, decision->quoted_checksum, sizeof(*quoted));
	if (quoted)
		*quoted = decision->quoted_value;
	return 0;
}

SEC("xdp.frags")
int from_container(struct xdp_md *ctx)
{
	struct counters *counters = counters_of(ctx->ingress_ifindex);
	struct frame frame = xdp_frame(ctx);
	struct packet pkt = {
		.ifindex = ctx->ingress_ifindex,
		.length = frame.length,
		.direction = EGRESS,
		.may_defer = sees_packets_twice,
	};

	clear_note();
	if (!counters)
		return XDP_PASS;
	examine(&frame, &pkt);
	if (pkt.decision.verdict == DEFERRED)
		leave_note(ctx, NOTE_DEFERRED, &pkt);
	if (pkt.decision.port && change_frame(ctx, &pkt))
		return XDP_PASS;
	count(counters, &pkt);
	return pkt.decision.verdict == DROPPED ? XDP_DROP : XDP_PASS;
}

static __always_inline void change_skb(struct __sk_buff *skb,
				       const struct packet *pkt)
{
	const struct decision *decision = &pkt->decision;

	bpf_skb_store_bytes(skb, decision->port, &decision->to,
			    sizeof(decision->to), 0);
	if (decision->quoted_checksum)
		bpf_skb_store_bytes(skb, decision->quoted_checksum,
				    &decision->quoted_value,
				    sizeof(decision->quoted_value), 0);
	if (decision->checksum)
		replace_checksum(skb, decision->checksum, pkt->protocol,
				 decision->from, decision->to);
}

/*
 * Headers mostly are in the linear part already; then this costs a comparison.
 */
#define MOST_HEADERS 256

static __always_inline void pull_headers(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data;
	void *data_end = (void *)(long)skb->data_end;
	__u32 wanted = skb->len < MOST_HEADERS ? skb->len : MOST_HEADERS;

	if (data + wanted > data_end)
		bpf_skb_pull_data(skb, wanted);
}

/* What XDP does, at a tc hook. */
static __always_inline int process_skb(struct __sk_buff *skb, __u8 direction)
{
	struct counters *counters = counters_of(skb->ifindex);
	struct packet pkt = {
		.ifindex = skb->ifindex,
		.length = skb->len,
		.direction = direction,
	};
	struct frame frame;

	if (!counters)
		return TCX_NEXT;
	pull_headers(skb);
	frame = skb_frame(skb);
	examine(&frame, &pkt);
	if (pkt.decision.port)
		change_skb(skb, &pkt);
	count(counters, &pkt);
	return pkt.decision.verdict == DROPPED ? TCX_DROP : TCX_NEXT;
}

static __always_inline struct note *note_on(struct __sk_buff *skb)
{
	struct note *note;

	if (!note_in_metadata)
		return this_cpus_note();
	note = (void *)(long)skb->data_meta;
	return (void *)(note + 1) > (void *)(long)skb->data ? NULL : note;
}

/*
 * Does what XDP could not. The offset is counted from the end, since a VLAN tag
 * may have been taken out of the frame after XDP saw it.
 */
SEC("tc")
int settle_checksum(struct __sk_buff *skb)
{
	struct note *note = note_on(skb);
	enum note_kind kind;

	if (!note)
		return TCX_NEXT;
	kind = note->kind;
	if (kind == NOTE_DEFERRED) {
		note->kind = NOTE_NONE;
		return process_skb(skb, EGRESS);
	}
	if (kind != NOTE_CHECKSUM)
		return TCX_NEXT;
	note->kind = NOTE_NONE;
	replace_checksum(skb, note->checksum - (note->length - skb->len),
			 note->protocol, note->from, note->to);
	return TCX_NEXT;
}

SEC("tc")
int to_container(struct __sk_buff *skb)
{
	return process_skb(skb, INGRESS);
}

char _license[] SEC("license") = "Dual BSD/GPL";
