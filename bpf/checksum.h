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
	__be32 from;	/* both ports, as in struct decision */
	__be32 to;
	__u16 pseudo; /* see pseudo_sum_of(); 0 where nobody asks */
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
static __always_inline __u16 pseudo_sum(__u64 addresses, __u32 length,
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
static __always_inline __u16 pseudo_sum_of(const struct packet *pkt)
{
	const __u32 *container = (const __u32 *)&pkt->container;
	const __u32 *peer = (const __u32 *)&pkt->peer;
	__u64 addresses = 0;

	if (pkt->transport - pkt->network != (pkt->family == 6 ? 40 : 20))
		return 0;
	for (int i = 0; i < 4; i++)
		addresses += (__u64)container[i] + peer[i];
	return pseudo_sum(addresses, pkt->end - pkt->transport, pkt->protocol);
}

/*
 * Where the kernel's struct sk_buff has what tells which checksum is partial
 * (include/linux/skbuff.h). User space reads that from the kernel's BTF.
 */
struct skb_layout {
	__u32 ip_summed;       /* offset of the byte with its two bits */
	__u32 ip_summed_shift; /* the lower one's number in that */
	__u32 csum_start;
	__u32 csum_offset;
	__u32 head;
	__u32 data;
};

const volatile struct skb_layout skb_layout;
/* Whether skb_layout is known, and bpf_cast_to_kern_ctx() is there (Linux 6.2).
 */
const volatile __u8 sees_skb;

extern void *bpf_cast_to_kern_ctx(void *ctx) __ksym;

#define IP_SUMMED_MASK 3
#define CHECKSUM_PARTIAL 3

#define FIELD(object, offset, type) (*(type *)((object) + (offset)))

/*
 * Whether a checksum is yet to be completed: it is the one that the skb is
 * about, or that of a UDP tunnel around packets that are yet to be segmented.
 * That of a tunnel around one packet is complete, while the one in it is not
 * (udp_set_csum(); Documentation/networking/checksum-offloads.rst, LCO).
 */
static __always_inline int is_partial(struct __sk_buff *skb, __u32 offset)
{
	void *kernel_skb = bpf_cast_to_kern_ctx(skb);
	__u8 summed = FIELD(kernel_skb, skb_layout.ip_summed, __u8);
	__u64 head, data;
	__u32 partial;

	if ((summed >> skb_layout.ip_summed_shift & IP_SUMMED_MASK) !=
	    CHECKSUM_PARTIAL)
		return 0;
	head = FIELD(kernel_skb, skb_layout.head, __u64);
	data = FIELD(kernel_skb, skb_layout.data, __u64);
	partial = FIELD(kernel_skb, skb_layout.csum_start, __u16) +
		  FIELD(kernel_skb, skb_layout.csum_offset, __u16);
	return likely(partial == data - head + offset) || skb->gso_size;
}

/*
 * Where the skb cannot be asked, a UDP field that is not the pseudo-header's
 * sum is complete, whatever the skb says of itself: it is a tunnel's, see
 * is_partial().
 */
static __always_inline int is_surely_complete(const struct note *note,
					      __sum16 check)
{
	return note->protocol == IPPROTO_UDP && note->pseudo &&
	       check != note->pseudo;
}

/*
 * Settles the checksum of a change. The offset is counted from the end of the
 * frame, since a VLAN tag may have been taken out of it in between. Where there
 * is no other way, bpf_l4_csum_replace() asks the skb, in some 60 ns;
 * BPF_F_MARK_MANGLED_0 keeps UDP's 0 as "none" and never makes one.
 */
static __always_inline void settle(struct __sk_buff *skb,
				   const struct note *note)
{
	__u64 flags = note->protocol == IPPROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0;
	__u32 offset = note->checksum - (note->length - skb->len);
	struct frame frame = skb_frame(skb);
	__sum16 *check;

	if (!note->checksum)
		return;
	if (sees_skb && is_partial(skb, offset))
		return;
	check = bytes_at(&frame, offset, sizeof(*check));
	if (check && (sees_skb || is_surely_complete(note, *check)))
		*check =
			note->protocol == IPPROTO_UDP
				? update_udp_checksum(*check, note->from,
						      note->to)
				: update_checksum(*check, note->from, note->to);
	else
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
	if (!sees_skb && pkt->decision.checksum && pkt->protocol == IPPROTO_UDP)
		note->pseudo = pseudo_sum_of(pkt);
	note->magic = NOTE_MAGIC;
}

#endif
