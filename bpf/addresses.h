/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The addresses of a packet: the container's and the peer's. */
#ifndef XDP_PORT_ADDRESSES_H
#define XDP_PORT_ADDRESSES_H

#include "parse.h"

/* RFC 4291 section 2.5.5.2. */
static __always_inline struct address v4_mapped(__be32 addr)
{
	struct address mapped = {
		.word[1] = bpf_cpu_to_be64(0xffff00000000 | bpf_ntohl(addr)),
	};

	return mapped;
}

static __always_inline void set_addresses(struct packet *pkt,
					  struct address source,
					  struct address destination)
{
	if (pkt->direction == EGRESS) {
		pkt->container = source;
		pkt->peer = destination;
	} else {
		pkt->container = destination;
		pkt->peer = source;
	}
}

/* Copies the addresses. Only packets that may match a rule need them. */
static __always_inline int read_addresses(const struct frame *frame,
					  struct packet *pkt)
{
	struct address source, destination;

	if (unlikely(pkt->family == 6)) {
		struct ipv6hdr *ip = bytes_at(frame, pkt->network, sizeof(*ip));

		if (unlikely(!ip))
			return -1;
		__builtin_memcpy(&source, &ip->saddr, sizeof(source));
		__builtin_memcpy(&destination, &ip->daddr, sizeof(destination));
	} else {
		struct iphdr *ip = bytes_at(frame, pkt->network, sizeof(*ip));

		if (unlikely(!ip))
			return -1;
		source = v4_mapped(ip->saddr);
		destination = v4_mapped(ip->daddr);
	}
	set_addresses(pkt, source, destination);
	return 0;
}

#endif
