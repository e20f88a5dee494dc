/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A frame at either hook, the packet in it, and the decision about it. */
#ifndef XDP_PORT_FRAME_H
#define XDP_PORT_FRAME_H

#include <linux/bpf.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "types.h"

enum direction {
	EGRESS,
	INGRESS,
};

enum verdict {
	PASSED,
	REWRITTEN,
	DROPPED,
	REPLY_RESTORED,
	ICMP_ERROR_RESTORED,
	MALFORMED,
	DEFERRED, /* by XDP, to tc ingress */
	COUNTED,  /* by XDP: tc ingress only fixes up the checksum */
};

/*
 * Both ports, as in the packet. One load, one store and one checksum update
 * handle both, even if only one port changes.
 */
struct ports {
	union {
		struct {
			__be16 source;
			__be16 destination;
		};
		__be32 word;
	};
};

/* The ports of a packet in the other direction. */
static __always_inline struct ports reversed(struct ports ports)
{
	struct ports other = { .source = ports.destination,
			       .destination = ports.source };

	return other;
}

/* What a packet did to the flow table. */
enum flow_event {
	PORT_MOVED = 1,	     /* the connection got another source port */
	PORTS_EXHAUSTED = 2, /* no source port was free */
	FLOW_EVICTED = 4,    /* another flow was evicted for this one */
	FLOW_EVICTED_LIVE = 8,
};

/* What happens to a packet. */
struct decision {
	enum verdict verdict;
	__u32 rule; /* rule index plus one; 0: none */
	enum flow_event events;
	__u32 ports; /* offset of the ports to change; 0: no change */
	__be32 from; /* both ports, as in struct ports */
	__be32 to;
	__u32 checksum;	       /* offset of the checksum; 0: none */
	__u32 quoted_checksum; /* offset of a checksum to replace; 0: none */
	__sum16 quoted_value;  /* replacement */
	__u16 pad[3];
};

/* A slot of the flow table, and the version of its bucket at look-up. */
struct flow_place {
	__u32 bucket;
	__u32 version;
	__u32 slot; /* from 1 on; 0: none */
};

struct packet {
	__u32 ifindex;
	__u32 length;	 /* of the frame */
	__u32 end;	 /* offset behind the IP packet */
	__u32 network;	 /* offset of the IP header */
	__u32 transport; /* offset of the transport header */
	__u32 checksum;	 /* offset of the transport checksum; 0: none */
	struct ports ports;
	/*
	 * Port table entries: of the destination port in this direction, and of
	 * the source port in the other.
	 */
	__u16 forward_entry;
	__u16 reply_entry;
	__u8 direction; /* as seen by the container */
	__u8 family;	/* 4 or 6 */
	__u8 protocol;
	__u8 fragment;	     /* a first fragment */
	__u8 damaged;	     /* TCP or UDP, with nothing valid but the ports */
	__u8 unknown_length; /* jumbogram: the IP header has no length */
	__u8 quoted;	     /* inside an ICMP error, so truncated */
	__u8 routed; /* to a waypoint (RFC 8200 section 4.4): only drops apply
		      */
	__u8 drops_only; /* see decides_drops_only() */
	__u8 redirect;	 /* an ICMPv6 redirect, which quotes in an option */
	__u8 tcp_flags;	 /* if the TCP header is whole */
	__u8 has_data;	 /* behind the TCP header */
	__u8 pad[4];	 /* as in struct flow_id */
	__u32 sequence;	 /* of TCP */
	__u32 acknowledged;
	struct address container;
	struct address peer;
	struct decision decision;
};

enum parsed {
	PARSED_TRANSPORT, /* TCP or UDP, with ports */
	PARSED_FOR_RULES, /* TCP or UDP, and decide() is needed */
	PARSED_ICMP_ERROR,
	PARSED_OTHER, /* nothing to do */
	PARSED_MALFORMED,
};

/* The part of a frame that can be read directly. */
struct frame {
	void *data;
	void *data_end;
	__u32 length; /* of the whole frame */
	/* The context of the hook: exactly one is set. */
	struct xdp_md *xdp;
	struct __sk_buff *skb;
};

/* Whether the kernel has bpf_xdp_load_bytes() (Linux 5.18). */
const volatile __u8 has_xdp_load_bytes = 1;
/* Whether the program was loaded with BPF_F_XDP_HAS_FRAGS (Linux 5.18). */
const volatile __u8 has_frags = 1;

static __always_inline struct frame xdp_frame(struct xdp_md *ctx)
{
	struct frame frame = {
		.data = (void *)(long)ctx->data,
		.data_end = (void *)(long)ctx->data_end,
		.xdp = ctx,
	};

	frame.length = has_frags ? bpf_xdp_get_buff_len(ctx)
				 : frame.data_end - frame.data;
	return frame;
}

static __always_inline struct frame skb_frame(struct __sk_buff *skb)
{
	struct frame frame = {
		.data = (void *)(long)skb->data,
		.data_end = (void *)(long)skb->data_end,
		.length = skb->len,
		.skb = skb,
	};

	return frame;
}

/*
 * Hints about the common case. The compiler moves the rest out of the way, so
 * that a packet touches little of the instruction cache.
 */
#define likely(condition) __builtin_expect(!!(condition), 1)
#define unlikely(condition) __builtin_expect(!!(condition), 0)

/* Makes the compiler forget the value of a variable. */
#ifndef barrier_var
#define barrier_var(var) asm volatile("" : "+r"(var))
#endif

/* Larger than any headers; the verifier needs a bound. */
#define MAX_OFFSET 0x7fff

/*
 * Returns a pointer to `size` bytes at `offset`, or NULL if the frame is too
 * short.
 */
static __always_inline void *bytes_at(const struct frame *frame, __u32 offset,
				      __u32 size)
{
	void *at;

	/*
	 * Check and use the same register: before Linux 6.10 the verifier does
	 * not transfer the bounds of a register to its copies.
	 */
	barrier_var(offset);
	if (unlikely(offset > MAX_OFFSET))
		return NULL;
	at = frame->data + offset;
	return unlikely(at + size > frame->data_end) ? NULL : at;
}

/*
 * DEFINE_PER_HOOK(walk) turns the inline function walk(frame, pkt) into a
 * global function for each type of context. walk_of() calls the one that fits.
 * The verifier checks a global function once, whatever its callers. Otherwise
 * paths through loops and layers multiply.
 */
#define DEFINE_PER_HOOK(name)                                                \
	__noinline int xdp_##name(struct xdp_md *ctx, struct packet *pkt)    \
	{                                                                    \
		struct frame frame = xdp_frame(ctx);                         \
                                                                             \
		return pkt ? name(&frame, pkt) : 0;                          \
	}                                                                    \
                                                                             \
	__noinline int skb_##name(struct __sk_buff *ctx, struct packet *pkt) \
	{                                                                    \
		struct frame frame = skb_frame(ctx);                         \
                                                                             \
		return pkt ? name(&frame, pkt) : 0;                          \
	}                                                                    \
                                                                             \
	static __always_inline int name##_of(const struct frame *frame,      \
					     struct packet *pkt)             \
	{                                                                    \
		return frame->xdp ? xdp_##name(frame->xdp, pkt)              \
				  : skb_##name(frame->skb, pkt);             \
	}

#endif
