/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What became of each packet, for who listens. The listener brings the ring
 * buffer and says until when it wants events, and says so again before that
 * time is over: a listener that was killed costs nothing for long. All rulesets
 * share these maps, so that one listener hears all containers, in order.
 */
#ifndef XDP_PORT_TRACE_H
#define XDP_PORT_TRACE_H

#include "frame.h"

/* What a listener wants; user space writes all but left_out. */
struct trace {
	__u64 until;	/* CLOCK_MONOTONIC in ns; 0: nobody listens */
	__u64 left_out; /* events that found the ring full, ever */
	__u32 ifindex;	/* of the only device to trace; 0: all */
	__u32 sample;	/* trace one packet of so many; 0 and 1: each */
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

/* Tells the listener which rules were in force: the first bytes of their hash.
 */
const volatile __u64 ruleset_id;

#define TRACED_BYTES 128

/* A packet as it goes on, a dropped one as it came, and what became of it. */
struct trace_event {
	__u64 time; /* CLOCK_MONOTONIC in ns */
	__u64 ruleset;
	__u32 ifindex;
	__u32 length;	/* of the frame */
	__u32 captured; /* how many bytes of it are in `headers` */
	__u32 direction;
	struct decision decision;
	__u8 headers[TRACED_BYTES];
};

/*
 * Returns an event to be filled and submitted, or NULL if nobody wants it. A
 * listener that says no more is forgotten, so that time is not asked for again.
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
 * How much of a frame is captured: never 0, by a mask that any verifier
 * understands.
 */
static __always_inline __u32 capture_length(__u32 length)
{
	if (length > TRACED_BYTES)
		length = TRACED_BYTES;
	barrier_var(length);
	return ((length - 1) & (TRACED_BYTES - 1)) + 1;
}

/*
 * Copies the first bytes of a frame, and returns how many. Byte by byte, where
 * it has to be, is a long walk for the verifier.
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
 * What an event says beside the headers. A global function, as those below:
 * the verifier walks it once.
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

/* Only a build to measure what tracing costs while nobody listens is without.
 */
const volatile __u8 has_trace = 1;

/* While nobody listens this is one branch that is never taken. */
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
