/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Recognizes most packets with as little code as possible. parse.h handles all
 * others, and agrees on these.
 */
#ifndef XDP_PORT_FAST_PATH_H
#define XDP_PORT_FAST_PATH_H

#include "parse.h"

/*
 * An unfragmented IPv4 packet without options, directly behind the Ethernet
 * header, with TCP or UDP in it. It neither opens nor closes a connection.
 */
struct fast_packet {
	struct iphdr *ip;
	struct ports *ports;
	__u32 length;	/* behind the IP header */
	__u32 checksum; /* offset in the frame; 0: none */
};

#define FAST_TRANSPORT (sizeof(struct ethhdr) + sizeof(struct iphdr))

/* Like bytes_at() with offset 0, for a constant size. */
static __always_inline void *first_bytes(const struct frame *frame, __u32 size)
{
	return unlikely(frame->data + size > frame->data_end) ? NULL
							      : frame->data;
}

static __always_inline int read_fast_udp(struct fast_packet *fast)
{
	struct udphdr *udp = (void *)fast->ports;
	__u32 length = bpf_ntohs(udp->len);

	fast->checksum = 0;
	if (likely(udp->check))
		fast->checksum =
			FAST_TRANSPORT + offsetof(struct udphdr, check);
	return length >= sizeof(*udp) && length <= fast->length;
}

static __always_inline int read_fast_tcp(const struct frame *frame,
					 struct fast_packet *fast)
{
	void *data = first_bytes(frame, FAST_TRANSPORT + sizeof(struct tcphdr));
	struct tcphdr *tcp = data + FAST_TRANSPORT;

	if (!data)
		return 0;
	fast->checksum = FAST_TRANSPORT + offsetof(struct tcphdr, check);
	return tcp->doff >= 5 && tcp->doff * 4U <= fast->length &&
	       !(tcp_flags(tcp) & (TCP_FIN | TCP_SYN | TCP_RST));
}

/*
 * With one load. The compiler assumes that struct ethhdr is unaligned, and
 * would load single bytes.
 */
static __always_inline int is_ipv4(const struct ethhdr *ethernet)
{
	const void *protocol = &ethernet->h_proto;

	return *(const __be16 *)protocol == bpf_htons(ETH_P_IP);
}

/* Returns whether the frame holds a fast-path packet. */
static __always_inline int read_fast_packet(const struct frame *frame,
					    struct fast_packet *fast)
{
	struct ethhdr *ethernet =
		first_bytes(frame, FAST_TRANSPORT + sizeof(struct udphdr));
	struct iphdr *ip = (void *)(ethernet + 1);
	__u32 length;

	if (unlikely(!ethernet) || !is_ipv4(ethernet) || *(__u8 *)ip != 0x45 ||
	    ip->frag_off &
		    bpf_htons(IPV4_MORE_FRAGMENTS | IPV4_FRAGMENT_OFFSET))
		return 0;
	length = bpf_ntohs(ip->tot_len);
	if (length > frame->length - sizeof(*ethernet) ||
	    length < sizeof(*ip) + sizeof(struct udphdr))
		return 0;
	fast->ip = ip;
	fast->ports = (void *)(ip + 1);
	fast->length = length - sizeof(*ip);
	if (ip->protocol == IPPROTO_UDP)
		return read_fast_udp(fast);
	return ip->protocol == IPPROTO_TCP && read_fast_tcp(frame, fast);
}

#endif
