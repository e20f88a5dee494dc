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
 * names its packet by all headers that the change left it with, from the
 * Ethernet header's protocol on. tc ingress takes it for that packet only; any
 * other one was not seen by XDP, and is decided there.
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

struct hint {
	struct headers headers;
	__u64 owner;	 /* hint_owner of the XDP program */
	__u32 ifindex;	 /* of the host side; 0: there is no hint */
	__u32 length;	 /* of the frame */
	__u32 transport; /* offset in the frame */
	__u8 family;	 /* 4 or 6 */
	__u8 protocol;
	__u16 pad;
	struct checksum_change checksum;
	struct decision decision; /* to be counted; COUNTED if it is already */
};

/*
 * Who understands the hints of whom: rulesets of one build and one network
 * namespace, in which an ifindex means one device.
 */
const volatile __u64 hint_owner;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct hint);
} hints SEC(".maps");

static __always_inline struct hint *this_cpu_hint(void)
{
	__u32 slot = 0;

	return bpf_map_lookup_elem(&hints, &slot);
}

/* Only frames without a VLAN tag are changed by XDP, see decides_drops_only().
 */
#define HINT_NETWORK sizeof(struct ethhdr)

static __always_inline int copy_headers(const struct frame *frame,
					struct hint *hint)
{
	struct headers *headers = &hint->headers;
	const void *ip = bytes_at(frame, HINT_NETWORK, 20);
	const void *udp = bytes_at(frame, hint->transport, 8);
	const void *ipv6, *tcp;

	if (unlikely(!ip || !udp))
		return -1;
	headers->ip[0] = FIELD(ip, 0, const __u64);
	headers->ip[1] = FIELD(ip, 8, const __u64);
	headers->ip_end = FIELD(ip, 16, const __u32);
	headers->udp = FIELD(udp, 0, const __u64);
	if (unlikely(hint->family == 6)) {
		ipv6 = bytes_at(frame, HINT_NETWORK + 20, 20);
		if (unlikely(!ipv6))
			return -1;
		headers->ipv6[0] = FIELD(ipv6, 0, const __u64);
		headers->ipv6[1] = FIELD(ipv6, 8, const __u64);
		headers->ipv6_end = FIELD(ipv6, 16, const __u32);
	}
	if (hint->protocol == IPPROTO_TCP) {
		tcp = bytes_at(frame, hint->transport + 8, 12);
		if (unlikely(!tcp))
			return -1;
		headers->tcp = FIELD(tcp, 0, const __u64);
		headers->tcp_end = FIELD(tcp, 8, const __u32);
	}
	return 0;
}

static __always_inline int same_ipv6_end(const struct frame *frame,
					 const struct headers *headers)
{
	const void *ipv6 = bytes_at(frame, HINT_NETWORK + 20, 20);

	return likely(ipv6) &&
	       headers->ipv6[0] == FIELD(ipv6, 0, const __u64) &&
	       headers->ipv6[1] == FIELD(ipv6, 8, const __u64) &&
	       headers->ipv6_end == FIELD(ipv6, 16, const __u32);
}

static __always_inline int same_tcp_end(const struct frame *frame,
					const struct hint *hint)
{
	const void *tcp = bytes_at(frame, hint->transport + 8, 12);

	return likely(tcp) && hint->headers.tcp == FIELD(tcp, 0, const __u64) &&
	       hint->headers.tcp_end == FIELD(tcp, 8, const __u32);
}

static __always_inline int same_headers(const struct frame *frame,
					const struct hint *hint)
{
	const struct headers *headers = &hint->headers;
	const void *ip = bytes_at(frame, HINT_NETWORK, 20);
	const void *udp = bytes_at(frame, hint->transport, 8);

	if (unlikely(!ip || !udp) ||
	    headers->udp != FIELD(udp, 0, const __u64) ||
	    headers->ip[0] != FIELD(ip, 0, const __u64) ||
	    headers->ip[1] != FIELD(ip, 8, const __u64) ||
	    headers->ip_end != FIELD(ip, 16, const __u32))
		return 0;
	if (unlikely(hint->family == 6) && !same_ipv6_end(frame, headers))
		return 0;
	return hint->protocol != IPPROTO_TCP || same_tcp_end(frame, hint);
}

/* Whether the hint is about the packet in this frame of a device. */
static __always_inline int
hint_matches(const struct hint *hint, const struct frame *frame, __u32 ifindex)
{
	const struct ethhdr *ethernet = bytes_at(frame, 0, sizeof(*ethernet));

	return hint->ifindex == ifindex && hint->owner == hint_owner &&
	       hint->length == frame->length && likely(ethernet) &&
	       ethernet->h_proto == (hint->family == 6 ? bpf_htons(ETH_P_IPV6)
						       : bpf_htons(ETH_P_IP)) &&
	       same_headers(frame, hint);
}

/* A hint is good for one packet. That of another build is not ours to take. */
static __always_inline void clear_hint(struct hint *hint)
{
	if (likely(hint->owner == hint_owner))
		hint->ifindex = 0;
}

/* Leaves the hint behind a change whose checksum and decision are set. */
static __always_inline void write_hint(struct hint *hint,
				       const struct frame *frame, __u32 ifindex)
{
	if (unlikely(copy_headers(frame, hint)))
		return;
	hint->owner = hint_owner;
	hint->length = frame->length;
	hint->ifindex = ifindex;
}

#endif
