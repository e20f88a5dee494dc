/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Checksums after a port change. Most packets from a local socket carry only
 * the sum of the pseudo-header; a device completes it later (CHECKSUM_PARTIAL).
 * A port change must not touch that field. The field alone does not show
 * which case it is, only the skb does. Programs at tc hooks and XDP in native
 * mode read the skb. XDP in generic mode cannot, and leaves a hint for tc
 * ingress (hint.h).
 */
#ifndef XDP_PORT_CHECKSUM_H
#define XDP_PORT_CHECKSUM_H

#include "parse.h"
#include "skb.h"

/* RFC 1624 equation 3, for two 16-bit words at once. */
static __always_inline __sum16 update_checksum(__sum16 check, __be32 from,
					       __be32 to)
{
	__u32 sum = (__u16)~check;

	from = ~from;
	sum += (from & 0xffff) + (from >> 16) + (to & 0xffff) + (to >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* In UDP, 0 would mean "no checksum" (RFC 768). */
static __always_inline __sum16 update_udp_checksum(__sum16 check, __be32 from,
						   __be32 to)
{
	check = update_checksum(check, from, to);
	return check ? check : 0xffff;
}

/*
 * The folded sum of the pseudo-header (RFC 768, RFC 8200 section 8.1) in
 * network byte order, as a packet with a partial checksum has it in its
 * checksum field. `addresses` is the sum of the 32-bit words of both addresses.
 * The 0xffff of v4-mapped addresses adds nothing in ones' complement
 * arithmetic.
 */
static __always_inline __u16 pseudo_header_sum(__u64 addresses, __u32 length,
					       __u8 protocol)
{
	__u64 sum = addresses + bpf_htonl(length) + bpf_htonl(protocol);

	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + ((sum >> 16) & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/*
 * The pseudo-header sum of a packet. Returns 0, which no real sum is, if the
 * packet has IP options: these may name other addresses than the header.
 */
static __always_inline __u16 pseudo_header_sum_of(const struct packet *pkt)
{
	const __u32 *container = (const __u32 *)&pkt->container;
	const __u32 *peer = (const __u32 *)&pkt->peer;
	__u64 addresses = 0;

	if (pkt->transport - pkt->network != (pkt->family == 6 ? 40 : 20))
		return 0;
	for (int i = 0; i < 4; i++)
		addresses += (__u64)container[i] + peer[i];
	return pseudo_header_sum(addresses, pkt->end - pkt->transport,
				 pkt->protocol);
}

/* A port change, as far as it affects the checksum. */
struct checksum_change {
	__u32 offset; /* of the checksum in the frame; 0: none */
	__be32 from;  /* both ports, as in struct decision */
	__be32 to;
	__u16 pseudo; /* see pseudo_header_sum_of(); 0: not needed */
	__u8 protocol;
	__u8 pad;
};

/*
 * Whether a checksum is complete for sure, without reading the skb. A UDP field
 * that differs from the sum of the pseudo-header is complete even if the skb
 * says "partial": it belongs to a tunnel, see is_partial().
 */
static __always_inline int
is_known_complete(const struct checksum_change *change, __sum16 check)
{
	return change->protocol == IPPROTO_UDP && change->pseudo &&
	       check != change->pseudo;
}

static __always_inline __sum16
changed_checksum(const struct checksum_change *change, __sum16 check)
{
	return change->protocol == IPPROTO_UDP
		       ? update_udp_checksum(check, change->from, change->to)
		       : update_checksum(check, change->from, change->to);
}

/*
 * Fixes up the checksum at a tc hook. If the program cannot read the skb,
 * bpf_l4_csum_replace() does so at a cost of about 60 ns. BPF_F_MARK_MANGLED_0
 * leaves a UDP checksum of 0 ("none") alone, and never produces it.
 */
static __always_inline void
fix_up_skb_checksum(struct __sk_buff *skb, const struct checksum_change *change)
{
	__u64 flags =
		change->protocol == IPPROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0;
	struct frame frame = skb_frame(skb);
	__sum16 *check;

	if (!change->offset)
		return;
	if (reads_skb &&
	    is_partial(kernel_skb(skb), change->offset, skb->gso_size))
		return;
	check = bytes_at(&frame, change->offset, sizeof(*check));
	if (check && (reads_skb || is_known_complete(change, *check)))
		*check = changed_checksum(change, *check);
	else
		bpf_l4_csum_replace(skb, change->offset, change->from,
				    change->to, flags | sizeof(change->to));
}

/* Fixes up the checksum in XDP in native mode. */
static __always_inline void
fix_up_xdp_checksum(struct xdp_md *ctx, const struct checksum_change *change)
{
	struct frame frame = xdp_frame(ctx);
	__sum16 *check;

	if (!change->offset ||
	    is_partial(skb_behind_xdp(ctx), change->offset, 0))
		return;
	check = bytes_at(&frame, change->offset, sizeof(*check));
	if (check)
		*check = changed_checksum(change, *check);
}

/* Computes the pseudo-header sum only for packets that change. */
static __always_inline struct checksum_change
checksum_change_of(const struct packet *pkt)
{
	struct checksum_change change = {
		.offset = pkt->decision.checksum,
		.from = pkt->decision.from,
		.to = pkt->decision.to,
		.protocol = pkt->protocol,
	};

	if (!reads_skb && change.offset && change.protocol == IPPROTO_UDP)
		change.pseudo = pseudo_header_sum_of(pkt);
	return change;
}

#endif
