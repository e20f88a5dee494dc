/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Checksums after a port change. A packet from a local socket mostly carries
 * no checksum yet but the pseudo-header's sum, to be completed by a device
 * further on (CHECKSUM_PARTIAL), and then a port change must leave the field
 * alone. By looking at the field that can't be told for sure; only the skb
 * knows. So XDP leaves a note, and settle_checksum, on the same packet at tc
 * ingress, does what the skb says.
 */
#ifndef XDP_PORT_CHECKSUM_H
#define XDP_PORT_CHECKSUM_H

#include "parse.h"

/* What a note asks of tc ingress. The numbers keep a stray one from counting.
 */
enum note_kind {
	NOTE_NONE,
	NOTE_CHECKSUM = 0x78700001, /* settle the checksum of this change */
	NOTE_DEFERRED = 0x78700002, /* decide the packet, XDP did not */
};

struct note {
	enum note_kind kind;
	__u32 length;	/* of the frame when XDP saw it */
	__u32 checksum; /* offset then */
	__be16 from;
	__be16 to;
	__u32 protocol;
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
	__type(value, struct note);
} notes SEC(".maps");

static __always_inline struct note *this_cpus_note(void)
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

/* BPF_F_MARK_MANGLED_0 keeps UDP's 0 as "none" and never makes one. */
static __always_inline void replace_checksum(struct __sk_buff *skb,
					     __u32 offset, __u8 protocol,
					     __be16 from, __be16 to)
{
	__u64 flags = protocol == IPPROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0;

	bpf_l4_csum_replace(skb, offset, from, to, flags | sizeof(to));
}

#endif
