/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the kernel's struct sk_buff tells of a packet: which checksum is yet to
 * be completed, and whether a VLAN tag is beside the frame. User space reads
 * where its members are from the kernel's BTF.
 */
#ifndef XDP_PORT_SKB_H
#define XDP_PORT_SKB_H

#include "frame.h"

/* Offsets in bytes in struct sk_buff (include/linux/skbuff.h). */
struct skb_layout {
	__u32 ip_summed;       /* of the byte that holds its two bits */
	__u32 ip_summed_shift; /* the lower one's number in that byte */
	__u32 csum_start;
	__u32 csum_offset;
	__u32 mac_header;
	__u32 vlan_all;
};

const volatile struct skb_layout skb_layout;
/* Whether skb_layout is known, and bpf_cast_to_kern_ctx() is there (Linux 6.2).
 */
const volatile __u8 reads_skb;

/*
 * Where XDP on a veth finds the skb: the pointer to it is behind the struct
 * xdp_buff (drivers/net/veth.c, struct veth_xdp_buff, Linux 6.3). veth may be
 * a module, with types that programs cannot name, so the pointer is read as the
 * first member of a type of the kernel itself that is as good.
 */
struct xdp_layout {
	__u32 skb;	    /* offset of the pointer in struct veth_xdp_buff */
	__u32 pointer_type; /* BTF type of struct sk_buff_head */
};

const volatile struct xdp_layout xdp_layout;
/* Whether this is native mode, where xdp_layout is known. */
const volatile __u8 is_native;

extern void *bpf_cast_to_kern_ctx(void *ctx) __ksym;
extern void *bpf_rdonly_cast(void *object, __u32 type) __ksym;

#define FIELD(object, offset, type) (*(type *)((object) + (offset)))

#define IP_SUMMED_MASK 3
#define CHECKSUM_PARTIAL 3

static __always_inline void *kernel_skb(struct __sk_buff *skb)
{
	return bpf_cast_to_kern_ctx(skb);
}

/*
 * NULL for a frame that another program redirected to the device, whose
 * checksums are complete. Members of NULL read as 0.
 */
static __always_inline void *skb_behind_xdp(struct xdp_md *ctx)
{
	void *buff = bpf_cast_to_kern_ctx(ctx);
	void *place =
		bpf_rdonly_cast(buff + xdp_layout.skb, xdp_layout.pointer_type);

	return FIELD(place, 0, void *);
}

/*
 * Whether the checksum at an offset in the frame is yet to be completed: it is
 * the one that the skb is about, or that of a UDP tunnel around packets that
 * are yet to be segmented. That of a tunnel around one packet is complete,
 * while the one in it is not (udp_set_csum();
 * Documentation/networking/checksum-offloads.rst, LCO).
 *
 * The frame begins at mac_header at each of our hooks, so both offsets count
 * from the buffer's head. From Linux 7.2 on the verifier does not let programs
 * subtract skb->head from skb->data, which are typed pointers.
 */
static __always_inline int is_partial(void *kernel_skb, __u32 offset,
				      __u32 gso_size)
{
	__u8 summed = FIELD(kernel_skb, skb_layout.ip_summed, __u8);
	__u32 partial;

	if ((summed >> skb_layout.ip_summed_shift & IP_SUMMED_MASK) !=
	    CHECKSUM_PARTIAL)
		return 0;
	partial = FIELD(kernel_skb, skb_layout.csum_start, __u16) +
		  FIELD(kernel_skb, skb_layout.csum_offset, __u16);
	return likely(partial ==
		      FIELD(kernel_skb, skb_layout.mac_header, __u16) +
			      offset) ||
	       gso_size;
}

/*
 * Whether the skb has a VLAN tag beside the frame, which counts as one of
 * those that are parsed (include/linux/if_vlan.h, skb_vlan_tag_present()).
 */
static __always_inline int has_offloaded_tag(const struct frame *frame)
{
	if (frame->skb)
		return !!frame->skb->vlan_present;
	return is_native &&
	       FIELD(skb_behind_xdp(frame->xdp), skb_layout.vlan_all, __u32);
}

#endif
