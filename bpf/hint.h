/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Hints from XDP in generic mode to tc ingress: which checksum to fix up after
 * a port change. Only the skb, which tc ingress can read, shows how.
 *
 * The kernel runs generic XDP and tc ingress on the same packet, on the same
 * CPU, in the same softirq (__netif_receive_skb_core, since Linux 5.3), so a
 * per-CPU slot holds the hint. But either may run without the other. XDP runs
 * alone for a packet that returns from an ifb device, or that the stack drops
 * in between. tc ingress runs alone for a packet that was redirected before. A
 * hint therefore identifies its packet by all headers after the change,
 * starting with the protocol of the Ethernet header. tc ingress applies the
 * hint to that packet only. It decides any other packet itself, since XDP has
 * not seen it.
 */
#ifndef XDP_PORT_HINT_H
#define XDP_PORT_HINT_H

#include "checksum.h"

/*
 * The headers after the change, without options. The checksum is still the one
 * from before the change. Members for another family or protocol are undefined.
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
	__u32 ifindex;	 /* of the host side; 0: no hint */
	__u32 length;	 /* of the frame */
	__u32 transport; /* offset in the frame */
	__u8 family;	 /* 4 or 6 */
	__u8 protocol;
	__u16 pad;
	struct checksum_change checksum;
	struct decision decision; /* to be counted; COUNTED if XDP did that */
};

/*
 * Rulesets with the same owner understand each other's hints: they have the
 * same build and the same network namespace, so an ifindex means the same
 * device.
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

/* XDP changes only frames without a VLAN tag, see decides_drops_only(). */
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

/* Whether the hint belongs to the packet in this frame. */
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

/* A hint is valid for one packet. Hints of another build are left alone. */
static __always_inline void clear_hint(struct hint *hint)
{
	if (likely(hint->owner == hint_owner))
		hint->ifindex = 0;
}

/* Writes the hint after a change. Its checksum and decision are set. */
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
