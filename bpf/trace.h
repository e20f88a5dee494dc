/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reports each packet and its decision to a listener. The listener provides the
 * ring buffer, and a lease: the time until which it wants events. It renews the
 * lease before it ends, so that a killed listener soon costs nothing. All
 * rulesets share these maps. One listener therefore sees all containers, in
 * order.
 */
#ifndef XDP_PORT_TRACE_H
#define XDP_PORT_TRACE_H

#include "frame.h"

/* What the listener wants. User space writes all members but left_out. */
struct trace {
	__u64 until;	/* end of the lease, CLOCK_MONOTONIC in ns; 0: none */
	__u64 left_out; /* events that found the ring full, ever */
	__u32 ifindex;	/* the only interface to trace; 0: all */
	__u32 sample;	/* trace one in N packets; 0 and 1: all */
};

volatile struct trace trace SEC(".data.trace");

/* The listener's ring buffer; empty while nobody listens. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(
		values, struct {
			__uint(type, BPF_MAP_TYPE_RINGBUF);
			__uint(max_entries, 4096);
		});
} trace_rings SEC(".maps");

/* Identifies the ruleset in events: the first bytes of its hash. */
const volatile __u64 ruleset_id;

#define TRACED_BYTES 128

/* A packet after the change (a dropped one as it arrived), and the decision. */
struct trace_event {
	__u64 time; /* CLOCK_MONOTONIC in ns */
	__u64 ruleset;
	__u32 ifindex;
	__u32 length;	/* of the frame */
	__u32 captured; /* number of bytes in `headers` */
	__u32 direction;
	struct decision decision;
	__u8 headers[TRACED_BYTES];
};

/*
 * Returns an event to fill and submit, or NULL if the listener does not want
 * it. Clears a lease that has ended, so that later packets skip the look at the
 * clock.
 */
static __always_inline struct trace_event *reserve_event(__u32 ifindex)
{
	__u64 now = bpf_ktime_get_ns();
	__u32 only = trace.ifindex, sample = trace.sample, slot = 0;
	struct trace_event *event;
	void *ring;

	if (now > trace.until) {
		trace.until = 0;
		return NULL;
	}
	if (only && only != ifindex)
		return NULL;
	if (sample > 1 && bpf_get_prandom_u32() % sample)
		return NULL;
	ring = bpf_map_lookup_elem(&trace_rings, &slot);
	if (!ring)
		return NULL;
	event = bpf_ringbuf_reserve(ring, sizeof(*event), 0);
	if (!event) {
		__sync_fetch_and_add(&trace.left_out, 1);
		return NULL;
	}
	event->time = now;
	event->ifindex = ifindex;
	return event;
}

/*
 * Limits the captured length. The mask shows every verifier that it is not 0.
 */
static __always_inline __u32 capture_length(__u32 length)
{
	if (length > TRACED_BYTES)
		length = TRACED_BYTES;
	barrier_var(length);
	return ((length - 1) & (TRACED_BYTES - 1)) + 1;
}

/*
 * Copies the first bytes of a frame. Returns their number. The byte-by-byte
 * loop for older kernels is slow to verify.
 */
static __always_inline __u32 capture_xdp(struct xdp_md *ctx, __u32 length,
					 __u8 *headers)
{
	struct frame frame = xdp_frame(ctx);
	__u32 i;

	if (has_xdp_load_bytes) {
		length = capture_length(length);
		return bpf_xdp_load_bytes(ctx, 0, headers, length) ? 0 : length;
	}
	for (i = 0; i < TRACED_BYTES; i++) {
		__u8 *byte = frame.data + i;

		if ((void *)(byte + 1) > frame.data_end)
			break;
		headers[i] = *byte;
	}
	return i;
}

static __always_inline __u32 capture_skb(struct __sk_buff *skb, __u8 *headers)
{
	__u32 length = capture_length(skb->len);

	return bpf_skb_load_bytes(skb, 0, headers, length) ? 0 : length;
}

/*
 * Fills the event, except for the headers. This function and those below are
 * global, so that the verifier checks them once.
 */
__noinline int fill_event(struct trace_event *event,
			  const struct decision *decision, __u32 direction,
			  __u32 length)
{
	if (!event || !decision)
		return 0;
	event->ruleset = ruleset_id;
	event->direction = direction;
	event->length = length;
	event->decision = *decision;
	return 0;
}

__noinline int trace_xdp(struct xdp_md *ctx, const struct decision *decision,
			 __u32 direction)
{
	struct frame frame = xdp_frame(ctx);
	struct trace_event *event = reserve_event(ctx->ingress_ifindex);

	if (!event)
		return 0;
	fill_event(event, decision, direction, frame.length);
	event->captured = capture_xdp(ctx, frame.length, event->headers);
	bpf_ringbuf_submit(event, 0);
	return 0;
}

__noinline int trace_skb(struct __sk_buff *skb, const struct decision *decision,
			 __u32 direction)
{
	struct trace_event *event = reserve_event(skb->ifindex);

	if (!event)
		return 0;
	fill_event(event, decision, direction, skb->len);
	event->captured = capture_skb(skb, event->headers);
	bpf_ringbuf_submit(event, 0);
	return 0;
}

/* False only in a build that measures the cost of idle tracing. */
const volatile __u8 has_trace = 1;

/* While nobody listens, this is one branch that is never taken. */
static __always_inline int is_tracing(void)
{
	return unlikely(has_trace && trace.until);
}

static __always_inline void trace_packet(const struct frame *frame,
					 const struct decision *decision,
					 __u32 direction)
{
	if (!is_tracing())
		return;
	if (frame->xdp)
		trace_xdp(frame->xdp, decision, direction);
	else
		trace_skb(frame->skb, decision, direction);
}

#endif
