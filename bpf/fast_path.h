/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Recognizes most packets with as little code as possible. parse.h handles all
 * others, and agrees on these.
 */
#ifndef XDP_PORT_FAST_PATH_H
#define XDP_PORT_FAST_PATH_H

#include "parse.h"

/*
 * An unfragmented IPv4 packet without options, or an IPv6 packet without
 * extension headers, with TCP or UDP in it. At most one VLAN tag precedes it in
 * the frame. It neither opens nor closes a connection.
 */
struct fast_packet {
	const void *ip;
	struct ports *ports;
	__u32 network;	/* offset of the IP header */
	__u32 length;	/* behind the IP header */
	__u32 checksum; /* offset in the frame; 0: none */
	__u8 family;	/* 4 or 6; a constant wherever the packet is read */
	__u8 protocol;
};

/* Returns the offset of the transport header. */
static __always_inline __u32 transport_of(const struct fast_packet *fast)
{
	return fast->network + (fast->family == 6 ? sizeof(struct ipv6hdr)
						  : sizeof(struct iphdr));
}

/* Whether `size` bytes at a pointer into the frame can be read. */
static __always_inline int has_bytes(const struct frame *frame, const void *at,
				     __u32 size)
{
	return likely(at + size <= frame->data_end);
}

static __always_inline int read_fast_udp(struct fast_packet *fast)
{
	const struct udphdr *udp = (void *)fast->ports;
	__u32 length = bpf_ntohs(udp->len);

	fast->checksum = 0;
	if (likely(udp->check))
		fast->checksum =
			transport_of(fast) + offsetof(struct udphdr, check);
	return length >= sizeof(*udp) && length <= fast->length;
}

static __always_inline int read_fast_tcp(const struct frame *frame,
					 struct fast_packet *fast)
{
	const struct tcphdr *tcp = (void *)fast->ports;

	if (!has_bytes(frame, tcp, sizeof(*tcp)))
		return 0;
	fast->checksum = transport_of(fast) + offsetof(struct tcphdr, check);
	return tcp->doff >= 5 && tcp->doff * 4U <= fast->length &&
	       !(tcp_flags(tcp) & (TCP_FIN | TCP_SYN | TCP_RST));
}

/* The IP header has been read, and at least 8 bytes follow it in the frame. */
static __always_inline int read_fast_transport(const struct frame *frame,
					       struct fast_packet *fast)
{
	if (fast->length > frame->length - transport_of(fast) ||
	    fast->length < sizeof(struct udphdr))
		return 0;
	if (fast->protocol == IPPROTO_UDP)
		return read_fast_udp(fast);
	return fast->protocol == IPPROTO_TCP && read_fast_tcp(frame, fast);
}

static __always_inline int read_fast_ipv4(const struct frame *frame,
					  struct fast_packet *fast)
{
	const struct iphdr *ip = fast->ip;

	if (!has_bytes(frame, ip, sizeof(*ip) + sizeof(struct udphdr)) ||
	    FIELD(ip, 0, const __u8) != 0x45 ||
	    ip->frag_off &
		    bpf_htons(IPV4_MORE_FRAGMENTS | IPV4_FRAGMENT_OFFSET))
		return 0;
	fast->protocol = ip->protocol;
	fast->ports = (void *)(ip + 1);
	fast->length = bpf_ntohs(ip->tot_len) - sizeof(*ip);
	return read_fast_transport(frame, fast);
}

static __always_inline int read_fast_ipv6(const struct frame *frame,
					  struct fast_packet *fast)
{
	const struct ipv6hdr *ip = fast->ip;

	if (!has_bytes(frame, ip, sizeof(*ip) + sizeof(struct udphdr)) ||
	    FIELD(ip, 0, const __u8) >> 4 != 6)
		return 0;
	fast->protocol = ip->nexthdr;
	fast->ports = (void *)(ip + 1);
	fast->length = bpf_ntohs(ip->payload_len);
	return read_fast_transport(frame, fast);
}

/*
 * Finds the IP header, and returns the family; 0: no fast-path packet. Loads
 * each protocol with one instruction: the compiler assumes that struct ethhdr
 * is unaligned, and would load single bytes.
 */
static __always_inline int find_fast_ip(const struct frame *frame,
					struct fast_packet *fast)
{
	const void *data = frame->data;
	__be16 protocol;

	fast->network = sizeof(struct ethhdr);
	if (!has_bytes(frame, data, ETH_HLEN + sizeof(struct vlan_tag)))
		return 0;
	protocol = FIELD(data, offsetof(struct ethhdr, h_proto), const __be16);
	if (unlikely(is_vlan(protocol))) {
		protocol = FIELD(data, ETH_HLEN + 2, const __be16);
		fast->network += sizeof(struct vlan_tag);
	}
	fast->ip = data + fast->network;
	if (protocol == bpf_htons(ETH_P_IP))
		return 4;
	return protocol == bpf_htons(ETH_P_IPV6) ? 6 : 0;
}

/* Returns whether the frame holds a fast-path packet of this family. */
static __always_inline int read_fast_packet(const struct frame *frame,
					    struct fast_packet *fast,
					    __u8 family)
{
	fast->family = family;
	return family == 6 ? read_fast_ipv6(frame, fast)
			   : read_fast_ipv4(frame, fast);
}

#endif
