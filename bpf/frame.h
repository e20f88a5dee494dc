/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A frame as either hook sees it, what is known of the packet in it, and what
 * is to happen to that.
 */
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
	COUNTED,  /* by XDP: nothing is left to tc ingress but the checksum */
};

/*
 * Both ports, as they are in a packet and change there: with one load, one
 * store and one update of the checksum, be it one that changes or both.
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

/* The same ports as a packet the other way has them. */
static __always_inline struct ports reversed(struct ports ports)
{
	struct ports other = { .source = ports.destination,
			       .destination = ports.source };

	return other;
}

/* What a packet did to the table of flows. */
enum flow_event {
	PORT_MOVED = 1,	     /* its connection got another source port */
	PORTS_EXHAUSTED = 2, /* none was free */
	FLOW_EVICTED = 4,    /* another flow made room for its own */
	FLOW_EVICTED_LIVE = 8,
};

/* What is to happen to a packet. */
struct decision {
	enum verdict verdict;
	__u32 rule; /* one more than the index of the rule; 0: none */
	enum flow_event events;
	__u32 ports; /* offset of the ports to be changed; 0: nothing changes */
	__be32 from; /* both ports, as one word; see struct ports */
	__be32 to;
	__u32 checksum; /* offset of the checksum that covers it; 0: none */
	__u32 quoted_checksum; /* offset of one that is to be replaced; 0: none
				*/
	__sum16 quoted_value;  /* by this */
	__u16 pad[3];
};

/* A place in the table of flows, and the bucket's version when it was seen. */
struct flow_place {
	__u32 bucket;
	__u32 version;
	__u32 slot; /* from 1 on; 0: none */
};

struct packet {
	__u32 ifindex;
	__u32 length;	 /* of the whole frame */
	__u32 end;	 /* offset behind the IP packet */
	__u32 network;	 /* offset of the IP header */
	__u32 transport; /* offset of the transport header */
	__u32 checksum; /* offset of the transport checksum; 0: there is none */
	struct ports ports;
	/* What the port tables say, of this direction of the destination, of
	 * the other of the source. */
	__u16 forward_entry;
	__u16 reply_entry;
	__u8 direction; /* as the container sees it */
	__u8 family;	/* 4 or 6 */
	__u8 protocol;
	__u8 fragment; /* the first of several */
	__u8 damaged;  /* TCP or UDP, but no more than its ports is right */
	__u8 unknown_length; /* jumbogram: the IP header does not say */
	__u8 quoted; /* inside an ICMP error, so not all of it is there */
	__u8 routed; /* to a waypoint (RFC 8200 section 4.4): only drops apply
		      */
	__u8 drops_only; /* see decides_drops_only() */
	__u8 redirect;	 /* an ICMPv6 redirect, whose quote is in an option */
	__u8 tcp_flags;	 /* of a whole TCP header */
	__u8 has_data;	 /* behind that */
	__u8 pad[4];	 /* as in struct flow_id */
	__u32 sequence;	 /* of TCP */
	__u32 acknowledged;
	struct address container;
	struct address peer;
	struct decision decision;
};

enum parsed {
	PARSED_TRANSPORT, /* TCP or UDP, with ports */
	PARSED_FOR_RULES, /* that, and more is to be decided */
	PARSED_ICMP_ERROR,
	PARSED_OTHER, /* nothing for us */
	PARSED_MALFORMED,
};

/* The part of a frame that can be read directly. */
struct frame {
	void *data;
	void *data_end;
	__u32 length; /* of the whole frame, may be more than that part */
	/* The hook's context: one of them is set. */
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
 * What packets mostly are and are not. The compiler puts the rest out of the
 * way: a packet finds little of a program in the instruction cache.
 */
#define likely(condition) __builtin_expect(!!(condition), 1)
#define unlikely(condition) __builtin_expect(!!(condition), 0)

/* Makes the compiler forget what it knows of a variable. */
#ifndef barrier_var
#define barrier_var(var) asm volatile("" : "+r"(var))
#endif

/* More than any headers take; the verifier wants a bound. */
#define MAX_OFFSET 0x7fff

/* A pointer to `size` bytes at `offset`, or NULL when they are not all there.
 */
static __always_inline void *bytes_at(const struct frame *frame, __u32 offset,
				      __u32 size)
{
	void *at;

	/* One register for the check and the use: before Linux 6.10 the
	 * verifier does not carry over to a copy what a check tells. */
	barrier_var(offset);
	if (unlikely(offset > MAX_OFFSET))
		return NULL;
	at = frame->data + offset;
	return unlikely(at + size > frame->data_end) ? NULL : at;
}

/*
 * DEFINE_PER_HOOK(walk) makes of the inline function walk(frame, pkt) a global
 * function for each kind of context, and walk_of() that calls the one that
 * fits. The verifier walks a global function once, whatever leads to it:
 * without that, the ways through loops and layers multiply.
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
