/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reads the kernel's struct sk_buff: which checksum is partial, and whether a
 * VLAN tag is outside the frame. User space gets the offsets of the members
 * from the kernel's BTF.
 */
#ifndef XDP_PORT_SKB_H
#define XDP_PORT_SKB_H

#include "frame.h"

/* Offsets in bytes in struct sk_buff (include/linux/skbuff.h). */
struct skb_layout {
	__u32 ip_summed;       /* of the byte that holds the two bits */
	__u32 ip_summed_shift; /* number of the lower bit in that byte */
	__u32 csum_start;
	__u32 csum_offset;
	__u32 mac_header;
	__u32 vlan_all;
};

const volatile struct skb_layout skb_layout;
/* Whether skb_layout is known and bpf_cast_to_kern_ctx() exists (Linux 6.2). */
const volatile __u8 reads_skb;

/*
 * Where XDP on a veth finds the skb: a pointer to it follows struct xdp_buff
 * (drivers/net/veth.c, struct veth_xdp_buff, Linux 6.3). veth may be a module,
 * and programs cannot name the types of modules. So the pointer is read as the
 * first member of an unrelated type of the kernel itself.
 */
struct xdp_layout {
	__u32 skb;	    /* offset of the pointer in struct veth_xdp_buff */
	__u32 pointer_type; /* BTF type of struct sk_buff_head */
};

const volatile struct xdp_layout xdp_layout;
/* Whether this is native mode. xdp_layout is known then. */
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
 * Returns NULL for a frame that another program redirected to the device. The
 * checksums in such a frame are complete. Members of NULL read as 0.
 */
static __always_inline void *skb_behind_xdp(struct xdp_md *ctx)
{
	void *buff = bpf_cast_to_kern_ctx(ctx);
	void *place =
		bpf_rdonly_cast(buff + xdp_layout.skb, xdp_layout.pointer_type);

	return FIELD(place, 0, void *);
}

/*
 * Whether the checksum at an offset in the frame is partial. Either the skb
 * points at this checksum, or it belongs to a UDP tunnel around packets that
 * are still to be segmented. A tunnel around a single packet has a complete
 * checksum, although the inner one is partial (udp_set_csum();
 * Documentation/networking/checksum-offloads.rst, LCO).
 *
 * The frame starts at mac_header at each of our hooks, so both offsets count
 * from the head of the buffer. Since Linux 7.2 the verifier rejects the
 * subtraction of skb->head from skb->data, which are typed pointers.
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
 * Whether the skb holds a VLAN tag outside the frame. It counts towards the
 * number of tags that are parsed (include/linux/if_vlan.h,
 * skb_vlan_tag_present()).
 */
static __always_inline int has_offloaded_tag(const struct frame *frame)
{
	if (frame->skb)
		return !!frame->skb->vlan_present;
	return is_native &&
	       FIELD(skb_behind_xdp(frame->xdp), skb_layout.vlan_all, __u32);
}

#endif
