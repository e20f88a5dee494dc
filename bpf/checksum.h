/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Checksums after a port change. A packet from a local socket mostly carries
 * no checksum yet but the pseudo-header's sum, to be completed by a device
 * further on (CHECKSUM_PARTIAL), and then a port change must leave the field
 * alone. By looking at the field that can't be told for sure; only the skb
 * knows. So XDP leaves a note, and settle_checksum, on the same packet at tc
 * ingress, does what the skb says.
 *
 * Generic XDP may see a packet twice, when another program sent it through an
 * ifb device in between (the bandwidth plugin does), or not at all, when it was
 * redirected before. tc ingress sees each packet once. So what XDP cannot be
 * sure of, and what it did not see, tc ingress decides; and it counts.
 */
#ifndef XDP_PORT_CHECKSUM_H
#define XDP_PORT_CHECKSUM_H

#include "parse.h"

/* A change that XDP made, whose checksum is to be settled. */
struct note {
	__u32 magic;	/* NOTE_MAGIC */
	__u32 length;	/* of the frame when XDP saw it */
	__u32 checksum; /* offset then; 0: there is none */
	__be16 from;
	__be16 to;
	__u16 pseudo; /* see pseudo_sum() */
	__u8 protocol;
	__u8 pad;
};

#define NOTE_MAGIC 0x78707274 /* "xprt" */

/* What XDP tells tc ingress of a packet by the per-CPU slot. */
struct seen {
	struct note note; /* magic 0: XDP did not see the packet, or did not
			     decide */
	struct decision decision; /* that is to be counted */
};

/*
 * Where the note is left. In generic mode tc ingress follows XDP at once, on
 * the same CPU and in the same softirq (__netif_receive_skb_core), so that a
 * per-CPU slot does. In native mode GRO is in between: there, and on
 * PREEMPT_RT, the note travels in the packet's metadata, which costs more.
 */
const volatile __u8 note_in_metadata;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct seen);
} notes SEC(".maps");

static __always_inline struct seen *this_cpus_slot(void)
{
	__u32 slot = 0;

	return bpf_map_lookup_elem(&notes, &slot);
}

/* RFC 1624 equation 3. */
static __always_inline __sum16 update_checksum(__sum16 check, __be16 from,
					       __be16 to)
{
	__u32 sum = (__u16)~check + (__u16)~from + (__u32)to;

	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* For UDP 0 would mean "no checksum" (RFC 768). */
static __always_inline __sum16 update_udp_checksum(__sum16 check, __be16 from,
						   __be16 to)
{
	check = update_checksum(check, from, to);
	return check ? check : 0xffff;
}

/*
 * The folded sum of the pseudo-header (RFC 768, RFC 8200 section 8.1), in
 * network byte order, as the checksum field of a packet holds it whose own
 * checksum is partial; 0, which it never is, where that is not sure, since
 * options may name other addresses than the header.
 */
static __always_inline __u16 pseudo_sum(const struct packet *pkt)
{
	__u32 header_length = pkt->transport - pkt->network;
	const __u32 *container = (const __u32 *)&pkt->container;
	const __u32 *peer = (const __u32 *)&pkt->peer;
	__u64 sum = bpf_htonl(pkt->end - pkt->transport) +
		    (__u64)bpf_htonl(pkt->protocol);

	if (header_length != (pkt->family == 6 ? 40 : 20))
		return 0;
	/* The 0xffff of v4-mapped addresses add nothing in this arithmetic. */
	for (int i = 0; i < 4; i++)
		sum += (__u64)container[i] + peer[i];
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + ((sum >> 16) & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/*
 * The outer checksum of a UDP tunnel is complete while the skb's is partial,
 * that of the inner packet (Documentation/networking/checksum-offloads.rst,
 * LCO): a field that is not the pseudo-header's sum is complete, whatever the
 * skb says of itself.
 */
static __always_inline int replace_complete_udp(struct __sk_buff *skb,
						const struct note *note,
						__u32 offset)
{
	struct frame frame = skb_frame(skb);
	__sum16 *check = bytes_at(&frame, offset, sizeof(*check));

	if (!note->pseudo || !check || *check == note->pseudo)
		return 0;
	*check = update_udp_checksum(*check, note->from, note->to);
	return 1;
}

/*
 * Settles the checksum of a change. BPF_F_MARK_MANGLED_0 keeps UDP's 0 as
 * "none" and never makes one. The offset is counted from the end of the frame,
 * since a VLAN tag may have been taken out of it in between.
 */
static __always_inline void settle(struct __sk_buff *skb,
				   const struct note *note)
{
	__u64 flags = note->protocol == IPPROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0;
	__u32 offset = note->checksum - (note->length - skb->len);

	if (!note->checksum)
		return;
	if (note->protocol == IPPROTO_UDP &&
	    replace_complete_udp(skb, note, offset))
		return;
	bpf_l4_csum_replace(skb, offset, note->from, note->to,
			    flags | sizeof(note->to));
}

static __always_inline void write_note(struct note *note,
				       const struct packet *pkt)
{
	note->length = pkt->length;
	note->checksum = pkt->decision.checksum;
	note->from = pkt->decision.from;
	note->to = pkt->decision.to;
	note->protocol = pkt->protocol;
	/* Most packets change in nothing: they do not pay for the sum. */
	note->pseudo = 0;
	if (pkt->decision.checksum && pkt->protocol == IPPROTO_UDP)
		note->pseudo = pseudo_sum(pkt);
	note->magic = NOTE_MAGIC;
}

#endif
