/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Types that the programs share with user space; bpf2go makes the Go side of
 * them. Ports in maps are in host byte order unless their type says __be16.
 */
#ifndef XDP_PORT_TYPES_H
#define XDP_PORT_TYPES_H

#include <linux/types.h>

#define PORT_PAGE_SIZE 256

/* Numbers of the port tables: one for each direction and protocol. */
enum port_table {
	EGRESS_TCP,
	EGRESS_UDP,
	INGRESS_TCP,
	INGRESS_UDP,
	PORT_TABLES,
};

/*
 * What a port table says about one port: 0, nothing; else one more than the
 * index of the rule that decides, or, with PORT_BY_ADDRESS, one more than the
 * index of the port class whose address lists decide. PORT_IS_OUTPUT marks the
 * ports that a rewrite of this table may produce, PORT_IS_TARGET those of a
 * two-way one, so that only packets that may belong to a flow pay for looking
 * it up.
 */
enum port_entry {
	PORT_ID_MASK = 0x1fff,
	PORT_IS_OUTPUT = 0x2000,
	PORT_IS_TARGET = 0x4000,
	PORT_BY_ADDRESS = 0x8000,
};

/* 256 consecutive ports of a table. Page 0 is all zeros and shared. */
struct port_page {
	__u16 entry[PORT_PAGE_SIZE];
};

enum rule_action {
	RULE_REWRITE,
	RULE_DROP,
	RULE_PASS,
};

enum rule_flags {
	RULE_ONE_WAY = 1, /* replies are left alone, no flow is kept */
	RULE_TO_ONE = 2,  /* every port becomes `to` */
};

struct rule {
	__u16 first; /* first port that the rule is about */
	__u16 to;    /* what that port becomes */
	enum rule_action action;
	enum rule_flags flags;
};

/*
 * A set of ports whose rules depend on the peer's address. The longest prefix
 * of the class that contains the address decides; the compiler has seen to it
 * that its value is the first rule in order, not the most specific one.
 */
struct port_class {
	__u16 default_rule; /* one more than a rule's index; 0: no rule */
	__u8 ipv4_lengths;  /* how many of `length` are for IPv4, and come first
			     */
	__u8 ipv6_lengths;  /* how many behind them are for IPv6 */
	__u8 length[33 + 129]; /* prefix lengths in bits of v4-mapped addresses,
				  longest first for either family */
};

/* An address prefix of a port class; the value is one more than a rule's index.
 */
struct peer_prefix {
	__u16 port_class;
	__u8 length; /* in bits */
	__u8 family; /* 4 or 6 */
	__u32 pad;
	__be64 addr[2]; /* host bits zero; IPv4 addresses are v4-mapped */
};

/* An IPv6 address, or an IPv4 address v4-mapped, in network byte order. */
struct address {
	__be64 word[2];
};

/*
 * What tells a flow from others between the same two addresses, as packets of
 * both directions can compute it: ports as they are after the change, on the
 * wire outside of the container for an egress flow, in the container for an
 * ingress flow.
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
 * A connection that goes to a port which a two-way rewrite may produce, be it
 * by that rewrite or directly. No two have the same key.
 *
 * If its source port had to be changed, the table has an alias of it, too. That
 * has the key that the flow would have had otherwise, which forward packets can
 * compute; `original` has the source port that it got, and the destination port
 * before the change, which is part of its hash.
 */
struct flow {
	struct address container;
	struct address peer;
	struct flow_key key;
	__be32 original; /* ports of forward packets before the change */
};

/*
 * How far a flow is. Flags: which of them make a flow expire, and when, is in
 * pkg/datapath/flowstate.go.
 */
enum flow_state {
	FLOW_TCP = 1,
	FLOW_ANSWERED = 2,    /* there was a reply */
	FLOW_ESTABLISHED = 4, /* and what was in it was acknowledged */
	FLOW_FIN_CONTAINER = 8,
	FLOW_FIN_PEER = 16,
	FLOW_RESET_CONTAINER = 32,
	FLOW_RESET_PEER = 64, /* which anybody may have sent */
	FLOW_STATES = 128,
};

#define FLOWS_PER_BUCKET 8

/*
 * Flows whose hashes begin alike. What a packet reads of it is together, two
 * lines of the cache, beside the flow that is the packet's.
 */
struct flow_bucket {
	struct bpf_spin_lock lock; /* for who writes */
	__u32 version; /* odd while somebody writes, another one after it */
	__u32 tag[FLOWS_PER_BUCKET];	/* the rest of the hash; 0: free */
	__u32 used[FLOWS_PER_BUCKET];	/* when it was last, in jiffies */
	__u8 state[FLOWS_PER_BUCKET];	/* enum flow_state */
	__u16 owner[FLOWS_PER_BUCKET];	/* the end of the ifindex */
	__u32 answer[FLOWS_PER_BUCKET]; /* sequence number of the reply */
	struct flow flow[FLOWS_PER_BUCKET];
};

/* A flow that user space brings in; see import_flow(). */
struct flow_record {
	struct flow flow;
	__u32 used;
	__u32 answer;
	__u8 state;
	__u8 is_fresh; /* as if it was used now: nobody knows when it was */
	__u8 pad[6];
};

struct rule_counter {
	__u64 packets;
	__u64 bytes;
};

/*
 * Counters of one container, per CPU. In the map, `rules` has as many elements
 * as the ruleset has rules. Each packet is counted in exactly one of the first
 * six, which are in the order of enum verdict.
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
