/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What XDP in generic mode tells tc ingress of a packet that it changed: which
 * checksum is to be fixed up, which only the skb can say how.
 *
 * The kernel runs generic XDP and then tc ingress on the same packet, on the
 * same CPU and in the same softirq (__netif_receive_skb_core, since Linux 5.3),
 * so the hint is in a per-CPU slot. But either may run without the other: XDP
 * alone on a packet that comes back from an ifb device or that the stack drops
 * in between, tc ingress alone on one that was redirected before. So a hint
 * names its packet by the headers that the change left it with. tc ingress
 * takes it for that packet only; any other one was not seen by XDP, and is
 * decided there.
 */
#ifndef XDP_PORT_HINT_H
#define XDP_PORT_HINT_H

#include "checksum.h"

/*
 * The headers that the change left the packet with, without options. The
 * checksum is among them and still is that from before the change. What is not
 * of the packet's family and protocol has no meaning.
 */
struct headers {
	__u64 ip[2];
	__u64 ipv6[2]; /* the last 20 bytes */
	__u64 udp;
	__u64 tcp; /* the last 12 bytes */
	__u32 ip_end;
	__u32 ipv6_end;
	__u32 tcp_end;
	__u32 pad;
};

/* Where the headers are in a frame, and of which kind. */
struct headers_place {
	__u32 network;
	__u32 transport;
	__u8 family; /* 4 or 6 */
	__u8 protocol;
	__u16 pad;
};

struct hint {
	struct headers headers;
	__u32 ifindex; /* of the host side; 0: there is no hint */
	__u32 length;  /* of the frame when XDP saw it */
	struct headers_place place;
	struct checksum_change checksum;
	struct decision decision; /* to be counted; COUNTED if it is already */
	__u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct hint);
} hints SEC(".maps");

static __always_inline struct hint *this_cpus_hint(void)
{
	__u32 slot = 0;

	return bpf_map_lookup_elem(&hints, &slot);
}

static __always_inline int copy_headers(const struct frame *frame,
					struct hint *hint)
{
	const struct headers_place *place = &hint->place;
	struct headers *headers = &hint->headers;
	const void *ip = bytes_at(frame, place->network, 20);
	const void *udp = bytes_at(frame, place->transport, 8);
	const void *ipv6, *tcp;

	if (unlikely(!ip || !udp))
		return -1;
	headers->ip[0] = FIELD(ip, 0, const __u64);
	headers->ip[1] = FIELD(ip, 8, const __u64);
	headers->ip_end = FIELD(ip, 16, const __u32);
	headers->udp = FIELD(udp, 0, const __u64);
	if (unlikely(place->family == 6)) {
		ipv6 = bytes_at(frame, place->network + 20, 20);
		if (unlikely(!ipv6))
			return -1;
		headers->ipv6[0] = FIELD(ipv6, 0, const __u64);
		headers->ipv6[1] = FIELD(ipv6, 8, const __u64);
		headers->ipv6_end = FIELD(ipv6, 16, const __u32);
	}
	if (place->protocol == IPPROTO_TCP) {
		tcp = bytes_at(frame, place->transport + 8, 12);
		if (unlikely(!tcp))
			return -1;
		headers->tcp = FIELD(tcp, 0, const __u64);
		headers->tcp_end = FIELD(tcp, 8, const __u32);
	}
	return 0;
}

static __always_inline int same_ipv6_end(const struct frame *frame,
					 __u32 network,
					 const struct headers *headers)
{
	const void *ipv6 = bytes_at(frame, network + 20, 20);

	return likely(ipv6) &&
	       headers->ipv6[0] == FIELD(ipv6, 0, const __u64) &&
	       headers->ipv6[1] == FIELD(ipv6, 8, const __u64) &&
	       headers->ipv6_end == FIELD(ipv6, 16, const __u32);
}

static __always_inline int same_tcp_end(const struct frame *frame,
					__u32 transport,
					const struct headers *headers)
{
	const void *tcp = bytes_at(frame, transport + 8, 12);

	return likely(tcp) && headers->tcp == FIELD(tcp, 0, const __u64) &&
	       headers->tcp_end == FIELD(tcp, 8, const __u32);
}

/*
 * How far the headers have moved in the frame since XDP saw it: the stack takes
 * a VLAN tag out of it in between, and puts it beside.
 */
static __always_inline __u32 moved(const struct hint *hint,
				   const struct frame *frame)
{
	return frame->length - hint->length;
}

static __always_inline int same_headers(const struct frame *frame,
					const struct hint *hint)
{
	const struct headers *headers = &hint->headers;
	__u32 network = hint->place.network + moved(hint, frame);
	__u32 transport = hint->place.transport + moved(hint, frame);
	const void *ip = bytes_at(frame, network, 20);
	const void *udp = bytes_at(frame, transport, 8);

	if (unlikely(!ip || !udp) ||
	    headers->udp != FIELD(udp, 0, const __u64) ||
	    headers->ip[0] != FIELD(ip, 0, const __u64) ||
	    headers->ip[1] != FIELD(ip, 8, const __u64) ||
	    headers->ip_end != FIELD(ip, 16, const __u32))
		return 0;
	if (unlikely(hint->place.family == 6) &&
	    !same_ipv6_end(frame, network, headers))
		return 0;
	return hint->place.protocol != IPPROTO_TCP ||
	       same_tcp_end(frame, transport, headers);
}

/* Whether the hint is about the packet in this frame of a device. */
static __always_inline int is_about(const struct hint *hint,
				    const struct frame *frame, __u32 ifindex)
{
	return hint->ifindex == ifindex && same_headers(frame, hint);
}

/* Leaves the hint behind a change whose checksum and decision are set. */
static __always_inline void leave_hint(struct hint *hint,
				       const struct frame *frame, __u32 ifindex)
{
	if (unlikely(copy_headers(frame, hint)))
		return;
	hint->length = frame->length;
	hint->ifindex = ifindex;
}

#endif
