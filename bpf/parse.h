/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Parses a frame from its first byte to the ports. Offsets count from the first
 * byte. Nothing here reads beyond a checked bound, or writes.
 */
#ifndef XDP_PORT_PARSE_H
#define XDP_PORT_PARSE_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <stddef.h>

#include "frame.h"
#include "skb.h"

#define MAX_VLAN_TAGS 2
#define MAX_EXTENSION_HEADERS 8
#define MAX_REDIRECT_OPTIONS 4

#define IPV4_MORE_FRAGMENTS 0x2000
#define IPV4_FRAGMENT_OFFSET 0x1fff
#define IPV6_MORE_FRAGMENTS 0x0001
#define IPV6_FRAGMENT_OFFSET 0xfff8

struct vlan_tag {
	__be16 tci;
	__be16 protocol;
};

struct fragment_header {
	__u8 next_header;
	__u8 reserved;
	__be16 offset;
	__be32 identification;
};

enum tcp_flag {
	TCP_FIN = 1,
	TCP_SYN = 2,
	TCP_RST = 4,
	TCP_ACK = 16,
};

/* With one load; RFC 9293 section 3.1. */
static __always_inline __u8 tcp_flags(const struct tcphdr *tcp)
{
	return ((const __u8 *)tcp)[13];
}

/* For ICMP and ICMPv6; <linux/icmp.h> would include the C library. */
struct icmp_header {
	__u8 type;
	__u8 code;
	__sum16 checksum;
	__be32 rest;
};

/* RFC 792 and RFC 1812 section 4.3.2.3 (errors quote a packet). */
enum icmp_error {
	ICMP_DEST_UNREACH = 3,
	ICMP_SOURCE_QUENCH = 4,
	ICMP_REDIRECT = 5,
	ICMP_TIME_EXCEEDED = 11,
	ICMP_PARAMETER_PROBLEM = 12,
};

/*
 * RFC 4443 section 2.1: errors are types 1 to 4. A redirect (RFC 4861 section
 * 4.5) also quotes a packet.
 */
enum icmpv6_error {
	ICMPV6_DEST_UNREACH = 1,
	ICMPV6_PARAMETER_PROBLEM = 4,
	ICMPV6_REDIRECT = 137,
};

/* RFC 4861 sections 4.6 and 4.6.3. */
struct nd_option {
	__u8 type;
	__u8 length; /* in units of 8 bytes */
	__u8 reserved[6];
};

#define ND_OPTION_REDIRECTED_HEADER 4

static __always_inline enum parsed parse_ports(const struct frame *frame,
					       struct packet *pkt)
{
	struct ports *ports = bytes_at(frame, pkt->transport, sizeof(*ports));

	if (unlikely(!ports))
		return PARSED_MALFORMED;
	pkt->ports = *ports;
	return PARSED_TRANSPORT;
}

/* In a quote 8 bytes suffice, and length fields may be wrong. */
static __always_inline enum parsed parse_udp(const struct frame *frame,
					     struct packet *pkt)
{
	__u32 available = pkt->end - pkt->transport;
	struct udphdr *udp;
	__u32 length;

	if (unlikely(available < sizeof(*udp))) {
		if (pkt->quoted || available < sizeof(struct ports))
			return PARSED_MALFORMED;
		pkt->damaged = 1;
		return parse_ports(frame, pkt);
	}
	udp = bytes_at(frame, pkt->transport, sizeof(*udp));
	if (unlikely(!udp))
		return PARSED_MALFORMED;
	length = bpf_ntohs(udp->len);
	if (unlikely(!length &&
		     pkt->family == 6)) /* so does __udp6_lib_rcv() */
		length = available;
	if (unlikely(length < sizeof(*udp) || length > available) &&
	    !pkt->fragment && !pkt->unknown_length && !pkt->quoted)
		pkt->damaged = 1;
	if (likely(udp->check))
		pkt->checksum = pkt->transport + offsetof(struct udphdr, check);
	return parse_ports(frame, pkt);
}

static __always_inline enum parsed parse_quoted_tcp(const struct frame *frame,
						    struct packet *pkt)
{
	__u32 available = pkt->end - pkt->transport;

	if (available < 8)
		return PARSED_OTHER;
	if (available >= offsetof(struct tcphdr, check) + 2)
		pkt->checksum = pkt->transport + offsetof(struct tcphdr, check);
	return parse_ports(frame, pkt);
}

/*
 * A first fragment may end before the checksum. Its ports still count: tiny
 * fragments must not bypass a rule that drops (RFC 1858).
 */
static __always_inline enum parsed parse_tcp(const struct frame *frame,
					     struct packet *pkt)
{
	__u32 available = pkt->end - pkt->transport;
	struct tcphdr *tcp;

	if (unlikely(pkt->quoted))
		return parse_quoted_tcp(frame, pkt);
	if (unlikely(available < sizeof(*tcp))) {
		if (available < sizeof(struct ports))
			return PARSED_MALFORMED;
		pkt->damaged = 1;
		return parse_ports(frame, pkt);
	}
	tcp = bytes_at(frame, pkt->transport, sizeof(*tcp));
	if (unlikely(!tcp))
		return PARSED_MALFORMED;
	if (unlikely(tcp->doff < 5 || tcp->doff * 4U > available) &&
	    !pkt->fragment)
		pkt->damaged = 1;
	pkt->checksum = pkt->transport + offsetof(struct tcphdr, check);
	pkt->tcp_flags = tcp_flags(tcp);
	pkt->sequence = bpf_ntohl(tcp->seq);
	pkt->acknowledged = bpf_ntohl(tcp->ack_seq);
	pkt->has_data = available > tcp->doff * 4U;
	return parse_ports(frame, pkt);
}

static __always_inline int is_icmp_error(__u8 family, __u8 type)
{
	if (family == 6)
		return (type >= ICMPV6_DEST_UNREACH &&
			type <= ICMPV6_PARAMETER_PROBLEM) ||
		       type == ICMPV6_REDIRECT;
	return type == ICMP_DEST_UNREACH || type == ICMP_SOURCE_QUENCH ||
	       type == ICMP_REDIRECT || type == ICMP_TIME_EXCEEDED ||
	       type == ICMP_PARAMETER_PROBLEM;
}

static __always_inline enum parsed parse_icmp(const struct frame *frame,
					      struct packet *pkt)
{
	struct icmp_header *icmp =
		bytes_at(frame, pkt->transport, sizeof(*icmp));

	if (pkt->quoted)
		return PARSED_OTHER;
	if (pkt->end - pkt->transport < sizeof(*icmp) || !icmp)
		return PARSED_MALFORMED;
	if (!is_icmp_error(pkt->family, icmp->type))
		return PARSED_OTHER;
	pkt->redirect = pkt->family == 6 && icmp->type == ICMPV6_REDIRECT;
	pkt->checksum = pkt->transport + offsetof(struct icmp_header, checksum);
	return PARSED_ICMP_ERROR;
}

static __always_inline enum parsed parse_transport(const struct frame *frame,
						   struct packet *pkt)
{
	switch (pkt->protocol) {
	case IPPROTO_UDP:
		return parse_udp(frame, pkt);
	case IPPROTO_TCP:
		return parse_tcp(frame, pkt);
	case IPPROTO_ICMP:
		return pkt->family == 4 ? parse_icmp(frame, pkt) : PARSED_OTHER;
	case IPPROTO_ICMPV6:
		return pkt->family == 6 ? parse_icmp(frame, pkt) : PARSED_OTHER;
	}
	return PARSED_OTHER;
}

/*
 * Sets the end of the IP packet from the length in its header, and checks it
 * against the frame. A length of 0 means a jumbogram (RFC 2675; Linux also uses
 * it for BIG TCP over IPv4).
 */
static __always_inline int set_end(const struct frame *frame,
				   struct packet *pkt, __u32 said, __u32 least)
{
	__u32 rest = frame->length - pkt->network;

	if (unlikely(pkt->quoted))
		return 0; /* the quote ends with the error */
	pkt->unknown_length = said == 0;
	if (unlikely(!said))
		said = rest;
	else
		said += pkt->family == 6 ? sizeof(struct ipv6hdr) : 0;
	pkt->end = pkt->network + said;
	return said < least || said > rest ? -1 : 0;
}

static __always_inline enum parsed parse_ipv4(const struct frame *frame,
					      struct packet *pkt)
{
	struct iphdr *ip = bytes_at(frame, pkt->network, sizeof(*ip));
	__u32 header_length;
	__u16 fragment;

	if (unlikely(!ip || ip->version != 4 || ip->ihl < 5))
		return PARSED_MALFORMED;
	header_length = ip->ihl * 4;
	pkt->family = 4;
	if (unlikely(set_end(frame, pkt, bpf_ntohs(ip->tot_len),
			     header_length) ||
		     pkt->network + header_length > pkt->end))
		return PARSED_MALFORMED;
	fragment = bpf_ntohs(ip->frag_off);
	if (unlikely(fragment & IPV4_FRAGMENT_OFFSET))
		return PARSED_OTHER;
	pkt->fragment = !!(fragment & IPV4_MORE_FRAGMENTS);
	pkt->protocol = ip->protocol;
	pkt->transport = pkt->network + header_length;
	return parse_transport(frame, pkt);
}

/*
 * A bit set needs one branch only; all numbers are below 64. AH (RFC 4302) is
 * not included: it authenticates the ports, so packets with AH stay unchanged,
 * in IPv6 as in IPv4.
 */
static __always_inline int is_extension_header(__u8 protocol)
{
	const __u64 extension_headers =
		1ULL << IPPROTO_HOPOPTS | 1ULL << IPPROTO_ROUTING |
		1ULL << IPPROTO_DSTOPTS | 1ULL << IPPROTO_FRAGMENT;

	return protocol < 64 && extension_headers >> protocol & 1;
}

/*
 * RFC 8200 section 4. A global function, so that the verifier continues with
 * one state, not with one per kind of header.
 */
__noinline int extension_length(__u32 protocol, __u32 length_field)
{
	if (protocol == IPPROTO_FRAGMENT)
		return sizeof(struct fragment_header);
	return (length_field + 1) * 8;
}

/*
 * Whether the destination address is a waypoint and not yet the peer. The last
 * byte of the word is the number of segments left (RFC 8200 section 4.4).
 */
static __always_inline int has_segments_left(__u8 protocol, __u16 word)
{
	return protocol == IPPROTO_ROUTING && word & 0xff;
}

/*
 * Walks over the extension headers. On entry pkt has the protocol and the
 * offset of the first one, on return those of the transport header.
 */
static __always_inline enum parsed walk_extensions(const struct frame *frame,
						   struct packet *pkt)
{
	__u32 offset = pkt->transport;
	__u8 protocol = pkt->protocol;

	for (int i = 0; i < MAX_EXTENSION_HEADERS; i++) {
		struct fragment_header *header;
		__u16 word;

		if (!is_extension_header(protocol))
			break;
		header = bytes_at(frame, offset, sizeof(*header));
		if (!header || offset + sizeof(*header) > pkt->end)
			return PARSED_MALFORMED;
		word = bpf_ntohs(header->offset);
		if (protocol == IPPROTO_FRAGMENT) {
			if (word & IPV6_FRAGMENT_OFFSET)
				return PARSED_OTHER;
			pkt->fragment |= word & IPV6_MORE_FRAGMENTS;
		}
		pkt->routed |= has_segments_left(protocol, word);
		offset += extension_length(protocol, header->reserved) & 0xfff;
		protocol = header->next_header;
		if (offset > pkt->end)
			return PARSED_MALFORMED;
	}
	pkt->transport = offset;
	pkt->protocol = protocol;
	return PARSED_TRANSPORT;
}

DEFINE_PER_HOOK(walk_extensions)

static __always_inline enum parsed parse_ipv6(const struct frame *frame,
					      struct packet *pkt)
{
	struct ipv6hdr *ip = bytes_at(frame, pkt->network, sizeof(*ip));
	enum parsed walked;

	if (unlikely(!ip || ip->version != 6))
		return PARSED_MALFORMED;
	pkt->family = 6;
	pkt->transport = pkt->network + sizeof(*ip);
	if (unlikely(set_end(frame, pkt, bpf_ntohs(ip->payload_len),
			     sizeof(*ip)) ||
		     pkt->transport > pkt->end))
		return PARSED_MALFORMED;
	pkt->protocol = ip->nexthdr;
	if (unlikely(is_extension_header(pkt->protocol))) {
		walked = walk_extensions_of(frame, pkt);
		if (walked != PARSED_TRANSPORT)
			return walked;
	}
	return parse_transport(frame, pkt);
}

static __always_inline int parse_network(const struct frame *frame,
					 struct packet *pkt)
{
	return pkt->family == 6 ? parse_ipv6(frame, pkt)
				: parse_ipv4(frame, pkt);
}

DEFINE_PER_HOOK(parse_network)

static __always_inline int is_vlan(__be16 protocol)
{
	return protocol == bpf_htons(ETH_P_8021Q) ||
	       protocol == bpf_htons(ETH_P_8021AD);
}

/*
 * How many tags the frame may have. Two are parsed. One of them may be in the
 * skb instead of the frame, which XDP in generic mode cannot see but tc ingress
 * can.
 */
static __always_inline int max_vlan_tags(const struct frame *frame)
{
	if (frame->xdp && !is_native)
		return MAX_VLAN_TAGS - 1;
	return MAX_VLAN_TAGS - has_offloaded_tag(frame);
}

/*
 * Sets the protocol behind the tags. It is still a tag if there are too many.
 */
static __always_inline int skip_vlan_tags(const struct frame *frame,
					  struct packet *pkt, __be16 *protocol)
{
	int tags = max_vlan_tags(frame);

	for (int i = 0; i < MAX_VLAN_TAGS && i < tags && is_vlan(*protocol);
	     i++) {
		struct vlan_tag *tag =
			bytes_at(frame, pkt->network, sizeof(*tag));

		if (!tag)
			return -1;
		*protocol = tag->protocol;
		pkt->network += sizeof(*tag);
	}
	return 0;
}

static __always_inline enum parsed parse_frame(const struct frame *frame,
					       struct packet *pkt)
{
	struct ethhdr *ethernet = bytes_at(frame, 0, sizeof(*ethernet));
	__be16 protocol;

	if (unlikely(!ethernet))
		return PARSED_MALFORMED;
	protocol = ethernet->h_proto;
	pkt->network = sizeof(*ethernet);
	if (unlikely(is_vlan(protocol)) &&
	    skip_vlan_tags(frame, pkt, &protocol))
		return PARSED_MALFORMED;
	if (likely(protocol == bpf_htons(ETH_P_IP)))
		pkt->family = 4;
	else if (protocol == bpf_htons(ETH_P_IPV6))
		pkt->family = 6;
	else
		return PARSED_OTHER;
	return parse_network_of(frame, pkt);
}

#endif
