/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Types that the programs share with user space; bpf2go generates the Go side.
 * Ports in maps are in host byte order unless their type is __be16.
 */
#ifndef XDP_PORT_TYPES_H
#define XDP_PORT_TYPES_H

#include <linux/types.h>

#define PORT_PAGE_SIZE 256

/* Indexes of the port tables: one for each direction and protocol. */
enum port_table {
	EGRESS_TCP,
	EGRESS_UDP,
	INGRESS_TCP,
	INGRESS_UDP,
	PORT_TABLES,
};

/*
 * Port table entry. 0: no rule. Otherwise the low bits are the index plus one
 * of the rule that decides. With PORT_BY_ADDRESS, they are the index plus one
 * of the port class, and its address lists decide. PORT_IS_OUTPUT marks the
 * ports that a rewrite of this table may produce, PORT_IS_TARGET those of a
 * two-way rewrite. Only packets to or from a target port need a flow look-up.
 */
enum port_entry {
	PORT_ID_MASK = 0x1fff,
	PORT_IS_OUTPUT = 0x2000,
	PORT_IS_TARGET = 0x4000,
	PORT_BY_ADDRESS = 0x8000,
};

/*
 * 256 consecutive ports of a table. All tables share page 0, which is all
 * zeros.
 */
struct port_page {
	__u16 entry[PORT_PAGE_SIZE];
};

enum rule_action {
	RULE_REWRITE,
	RULE_DROP,
	RULE_PASS,
};

enum rule_flags {
	RULE_ONE_WAY = 1, /* keep no flow, leave replies alone */
	RULE_TO_ONE = 2,  /* every port becomes `to` */
};

struct rule {
	__u16 first; /* first port that the rule matches */
	__u16 to;    /* replacement of that port */
	enum rule_action action;
	enum rule_flags flags;
};

/*
 * A set of ports with rules that depend on the peer's address. The longest
 * prefix that contains the address decides. The compiler has resolved the order
 * of rules: the value of a prefix is the first rule that matches, not the most
 * specific one.
 */
struct port_class {
	__u16 default_rule;    /* rule index plus one; 0: no rule */
	__u8 ipv4_lengths;     /* number of IPv4 lengths, which come first */
	__u8 ipv6_lengths;     /* number of IPv6 lengths, which follow */
	__u8 length[33 + 129]; /* prefix lengths in bits of v4-mapped addresses,
				  longest first in each family */
};

/* An address prefix of a port class. The map value is a rule index plus one. */
struct peer_prefix {
	__u16 port_class;
	__u8 length; /* in bits */
	__u8 family; /* 4 or 6 */
	__u32 pad;
	__be64 addr[2]; /* host bits zero; IPv4 addresses are v4-mapped */
};

/* An IPv6 address, or a v4-mapped IPv4 address, in network byte order. */
struct address {
	__be64 word[2];
};

/*
 * Identifies a flow among those between the same two addresses. Packets of both
 * directions can compute the key, since it contains the ports after
 * translation: those on the wire outside for an egress flow, those inside the
 * container for an ingress flow.
 */
struct flow_key {
	__u32 ifindex; /* of the host-side veth */
	__be32 ports;  /* of forward packets, see struct ports */
	__u8 protocol;
	__u8 direction; /* of forward packets: 0 egress, 1 ingress */
	__u8 family;	/* 4 or 6 */
	__u8 alias;	/* see struct flow */
};

/*
 * A connection to a port that a two-way rewrite may produce, either through
 * that rewrite or directly. Keys are unique.
 *
 * If the source port of a flow was translated, the table also contains an
 * alias. Its key is the key that the flow would have without the translation,
 * so that forward packets can compute it. Its `original` contains the new
 * source port, and the destination port before the rewrite; the hash covers the
 * latter.
 */
struct flow {
	struct address container;
	struct address peer;
	struct flow_key key;
	__be32 original; /* ports of forward packets before translation */
};

/*
 * The progress of a flow, as flags. User space defines when a flow in a given
 * state expires (flowstate.go).
 */
enum flow_state {
	FLOW_TCP = 1,
	FLOW_ANSWERED = 2,    /* a reply was seen */
	FLOW_ESTABLISHED = 4, /* that reply was acknowledged */
	FLOW_FIN_CONTAINER = 8,
	FLOW_FIN_PEER = 16,
	FLOW_RESET_CONTAINER = 32,
	FLOW_RESET_PEER = 64, /* anybody may have sent it */
	FLOW_STATES = 128,
};

#define FLOWS_PER_BUCKET 8

/*
 * The word `version` of a bucket. The upper 24 bits are the version. The lower
 * 8 bits are a Bloom filter of the keys in this bucket that have had an alias.
 * A bit is never cleared, since an alias may outlive the flow that it avoids.
 */
enum bucket_version {
	BUCKET_ALIASES = 0xff,
	BUCKET_WRITING = 0x100,	     /* set during a write */
	BUCKET_VERSION_STEP = 0x100, /* added before and after a write */
};

/*
 * Flows with the same upper hash bits. A look-up reads the arrays, which share
 * two cache lines, and one flow.
 */
struct flow_bucket {
	struct bpf_spin_lock lock;	/* taken by writers */
	__u32 version;			/* see enum bucket_version */
	__u32 tag[FLOWS_PER_BUCKET];	/* lower hash bits; 0: free */
	__u32 used[FLOWS_PER_BUCKET];	/* time of last use in jiffies */
	__u8 state[FLOWS_PER_BUCKET];	/* enum flow_state */
	__u16 owner[FLOWS_PER_BUCKET];	/* low bits of the ifindex */
	__u32 answer[FLOWS_PER_BUCKET]; /* sequence number of the reply */
	struct flow flow[FLOWS_PER_BUCKET];
};

/* A flow that user space imports; see import_flow(). */
struct flow_record {
	struct flow flow;
	__u32 used;
	__u32 answer;
	__u8 state;
	__u8 is_fresh; /* last use is unknown, so take it as now */
	__u8 pad[6];
};

struct rule_counter {
	__u64 packets;
	__u64 bytes;
};

/*
 * Counters of one container, per CPU. In the map, `rules` has one element per
 * rule of the ruleset. Every packet is counted in exactly one of the first six
 * members, which are in the order of enum verdict.
 */
struct counters {
	__u64 passed;
	__u64 rewritten;
	__u64 dropped;
	__u64 replies_restored;
	__u64 icmp_errors_restored;
	__u64 malformed;
	__u64 ports_moved;
	__u64 ports_exhausted;
	__u64 flows_evicted;
	__u64 flows_evicted_live;
	struct rule_counter rules[];
};

#endif
