/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Finds the rule that decides a packet: two array look-ups, whatever the number
 * of rules. Ports with address lists also need one hash look-up per distinct
 * prefix length. User space fills these maps before it loads the programs, and
 * never changes them.
 */
#ifndef XDP_PORT_RULES_H
#define XDP_PORT_RULES_H

#include "parse.h"

/* Page numbers by table and upper byte of the port. */
const volatile __u16 port_index[PORT_TABLES][PORT_PAGE_SIZE];
const volatile __u32 rule_count = 1;
/* Whether any rule has addresses. If not, the verifier skips that code. */
const volatile __u8 has_classes;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct port_page);
} port_pages SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct rule);
} rules SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct port_class);
} port_classes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__uint(max_entries, 1);
	__type(key, struct peer_prefix);
	__type(value, __u32);
} peer_prefixes SEC(".maps");

static __always_inline __u32 port_table_of(__u8 direction, __u8 protocol)
{
	return direction * 2 + (protocol == IPPROTO_UDP);
}

/*
 * Returns the entry for the port in the table of this direction and protocol.
 */
static __always_inline __u16 look_up_port(__u8 direction, __u8 protocol,
					  __be16 port)
{
	__u16 number = bpf_ntohs(port);
	__u32 table = port_table_of(direction, protocol);
	__u32 page = port_index[table % PORT_TABLES][number >> 8];
	struct port_page *ports;

	/* Page 0 has no entries: do not pull it into the cache. */
	if (!page)
		return 0;
	ports = bpf_map_lookup_elem(&port_pages, &page);
	return ports ? ports->entry[number & 0xff] : 0;
}

/* Network masks by prefix length, computed by user space. */
const volatile __be64 network_mask[129][2];

/*
 * Returns the index plus one of the rule for this port class and peer; 0: none.
 * A global function, so that the verifier checks its loop only once. The loop
 * has few branches for the same reason.
 */
__noinline int rule_by_address(__u32 class_id, __u32 family,
			       const struct address *peer)
{
	struct peer_prefix prefix = { .port_class = class_id,
				      .family = family };
	struct port_class *class =
		bpf_map_lookup_elem(&port_classes, &class_id);
	__u32 next, end;

	if (!class || !peer)
		return 0;
	next = family == 6 ? class->ipv4_lengths : 0;
	end = class->ipv4_lengths + (family == 6 ? class->ipv6_lengths : 0);
	for (int i = 0; i < 129; i++, next++) {
		__u32 *rule;

		barrier_var(next); /* one register for check and use */
		if (next >= end || next >= sizeof(class->length))
			break;
		prefix.length = class->length[next];
		if (prefix.length > 128)
			break;
		prefix.addr[0] = peer->word[0] & network_mask[prefix.length][0];
		prefix.addr[1] = peer->word[1] & network_mask[prefix.length][1];
		rule = bpf_map_lookup_elem(&peer_prefixes, &prefix);
		if (rule)
			return *rule;
	}
	return class->default_rule;
}

/* Returns the index plus one of the rule for a port entry; 0: none. */
static __always_inline __u32 rule_for(__u16 entry, __u8 family,
				      const struct address *peer)
{
	__u32 id = entry & PORT_ID_MASK;

	if (!has_classes || !(entry & PORT_BY_ADDRESS))
		return id;
	return rule_by_address(id - 1, family, peer);
}

static __always_inline struct rule *rule_at(__u32 number)
{
	__u32 index = number - 1;

	return bpf_map_lookup_elem(&rules, &index);
}

static __always_inline __be16 rewritten_port(const struct rule *rule,
					     __be16 port)
{
	if (rule->flags & RULE_TO_ONE)
		return bpf_htons(rule->to);
	return bpf_htons(rule->to + (bpf_ntohs(port) - rule->first));
}

#endif
