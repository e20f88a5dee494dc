/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Comparisons without branches, for loops over the slots of a bucket: the
 * verifier then continues with one unknown slot number instead of eight known
 * ones. Barriers keep the compiler from turning them into branches.
 */
#ifndef XDP_PORT_BRANCHLESS_H
#define XDP_PORT_BRANCHLESS_H

#include "frame.h"

/* All bits if the value is 0, else none. */
static __always_inline __u64 mask_if_zero(__u32 value)
{
	__s64 mask = (__u64)value - 1;

	mask >>= 63;
	barrier_var(mask);
	return mask;
}

/* All bits if a < b, else none. The numbers differ by at most 1 << 63. */
static __always_inline __u64 mask_if_less(__u64 a, __u64 b)
{
	__s64 mask = a - b;

	barrier_var(mask); /* else the compiler emits a branch */
	mask >>= 63;
	barrier_var(mask);
	return mask;
}

/*
 * 1 if the value is 0, else 0. Newer verifiers fork at a mask that is applied
 * to a constant.
 */
static __always_inline __u64 is_zero(__u32 value)
{
	__u64 sign = (__u64)value - 1;

	barrier_var(sign);
	sign >>= 63;
	barrier_var(sign); /* else a multiple of it becomes a mask again */
	return sign;
}

/* 1 if a < b, else 0. The numbers differ by at most 1 << 63. */
static __always_inline __u64 is_less(__u64 a, __u64 b)
{
	__u64 sign = a - b;

	barrier_var(sign);
	sign >>= 63;
	barrier_var(sign);
	return sign;
}

#endif
