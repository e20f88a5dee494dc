/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Checksums after a port change. A packet from a local socket mostly carries
 * no checksum yet but the pseudo-header's sum, to be completed by a device
 * further on (CHECKSUM_PARTIAL), and then a port change must leave the field
 * alone. The field does not tell for sure; only the skb knows. The programs
 * ask it: those at tc hooks and XDP in native mode directly. XDP in generic
 * mode cannot, and leaves a hint for tc ingress (hint.h).
 */
#ifndef XDP_PORT_CHECKSUM_H
#define XDP_PORT_CHECKSUM_H

#include "parse.h"
#include "skb.h"

/* RFC 1624 equation 3, for two words of 16 bits at once. */
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

/* For UDP 0 would mean "no checksum" (RFC 768). */
static __always_inline __sum16 update_udp_checksum(__sum16 check, __be32 from,
						   __be32 to)
{
	check = update_checksum(check, from, to);
	return check ? check : 0xffff;
}

/*
 * The folded sum of the pseudo-header (RFC 768, RFC 8200 section 8.1), in
 * network byte order, as the checksum field of a packet holds it whose own
 * checksum is partial. Takes the sum of the addresses by words of 32 bits; the
 * 0xffff of v4-mapped ones add nothing in this arithmetic.
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
 * The same of a packet; 0, which it never is, where that is not sure, since
 * options may name other addresses than the header.
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

/* How a port change affects the checksum over it. */
struct checksum_change {
	__u32 offset; /* of the checksum in the frame; 0: there is none */
	__be32 from;  /* both ports, as in struct decision */
	__be32 to;
	__u16 pseudo; /* see pseudo_header_sum_of(); 0 where nobody asks */
	__u8 protocol;
	__u8 pad;
};

/*
 * Where the skb cannot be asked, a UDP field that is not the pseudo-header's
 * sum is complete, whatever the skb says of itself: it is a tunnel's, see
 * is_partial().
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
 * Fixes up the checksum of a changed packet at a tc hook. Where there is no
 * other way, bpf_l4_csum_replace() asks the skb, in some 60 ns;
 * BPF_F_MARK_MANGLED_0 keeps UDP's 0 as "none" and never makes one.
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

/* The same in XDP, in native mode. */
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

/* Most packets change in nothing: they do not pay for the sum. */
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
