/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What becomes of a packet, whichever hook sees it: pure decisions on a parsed
 * packet, the flows and the rules. Nothing here reads or writes a frame.
 *
 * "Forward" packets of a direction are those whose destination port the rules
 * of that direction are about; a reply travels in the other direction. The
 * global functions are walked by the verifier once for all the ways that lead
 * to them, which keeps loading fast.
 */
#ifndef XDP_PORT_DECIDE_H
#define XDP_PORT_DECIDE_H

#include "counters.h"
#include "flows.h"
#include "recall.h"

static __always_inline void look_up_ports(struct packet *pkt)
{
	__u8 direction = pkt->direction;

	pkt->forward_entry =
		look_up_port(direction, pkt->protocol, pkt->ports.destination);
	pkt->reply_entry =
		look_up_port(!direction, pkt->protocol, pkt->ports.source);
}

/* Whether no rule is about a packet by what the tables say of its ports. */
static __always_inline int is_nobodys_business(__u16 forward_entry,
					       __u16 reply_entry)
{
	return !forward_entry && !(reply_entry & PORT_IS_TARGET);
}

/*
 * Whether the packet may be one that was rewritten, or restored, before: by its
 * ports alone, for flows may be gone by now.
 */
static __always_inline int may_come_again(const struct packet *pkt)
{
	return (pkt->forward_entry & PORT_IS_OUTPUT) ||
	       (pkt->reply_entry & PORT_ID_MASK);
}

/* Has the packet, or what it quotes, get these ports. */
static __always_inline void change_ports(struct packet *pkt, struct ports to)
{
	struct decision *decision = &pkt->decision;

	decision->ports = pkt->transport;
	decision->from = pkt->ports.word;
	decision->to = to.word;
}

/* Whether the packet is a reply of a rewritten flow of the other direction. */
static __always_inline int restore_reply(struct packet *pkt, enum hook hook)
{
	struct ports to = pkt->ports;
	struct flow_id flow;

	if (!(pkt->reply_entry & PORT_IS_TARGET))
		return 0;
	identify_flow(&flow, pkt, !pkt->direction);
	to.source = find_flow(&flow);
	if (!to.source)
		return 0;
	pkt->decision.verdict = REPLY_RESTORED;
	change_ports(pkt, to);
	remember(pkt, hook, &flow.place);
	return 1;
}

/*
 * A packet that goes to a target port without a flow of its own ends the flow
 * that a rewritten packet of the same pair of sockets began: replies now
 * belong to this one.
 */
static __always_inline void supersede_flow(struct packet *pkt, __u16 entry)
{
	struct flow_id flow;

	if (!(entry & PORT_IS_TARGET))
		return;
	identify_flow(&flow, pkt, pkt->direction);
	pkt->decision.flow_conflict = forget_flow(&flow);
}

static __always_inline void rewrite(struct packet *pkt, const struct rule *rule,
				    enum hook hook)
{
	struct decision *decision = &pkt->decision;
	__be16 original = pkt->ports.destination;
	struct ports to = pkt->ports;
	struct flow_id flow;

	to.destination = rewritten_port(rule, original);
	decision->verdict = REWRITTEN;
	change_ports(pkt, to);
	pkt->ports = to;
	if (rule->flags & RULE_ONE_WAY) {
		supersede_flow(pkt, look_up_port(pkt->direction, pkt->protocol,
						 to.destination));
		return;
	}
	identify_flow(&flow, pkt, pkt->direction);
	decision->flow_conflict = remember_flow(&flow, original);
	/* Else it may become a reply, as soon as there is a flow for that. */
	if (!(pkt->reply_entry & PORT_IS_TARGET))
		remember(pkt, hook, &flow.place);
}

/* Decides a TCP or UDP packet whose addresses were read. */
__noinline int decide(struct packet *pkt, __u32 hook)
{
	struct decision *decision;
	struct rule *rule;

	if (!pkt)
		return 0;
	decision = &pkt->decision;
	if (!pkt->damaged && !pkt->routed && restore_reply(pkt, hook))
		return 0;
	decision->rule = rule_for(pkt->forward_entry, pkt->family, &pkt->peer);
	rule = rule_at(decision->rule);
	if (rule && rule->action == RULE_DROP) {
		decision->verdict = DROPPED;
	} else if (pkt->damaged) {
		decision->verdict = MALFORMED;
		decision->rule = 0;
	} else if (pkt->routed) {
		decision->rule = 0;
	} else if (rule && rule->action == RULE_REWRITE) {
		rewrite(pkt, rule, hook);
	} else {
		supersede_flow(pkt, pkt->forward_entry);
	}
	return 0;
}

/*
 * An ICMP error quotes a forward packet as it was outside: the sender knows it
 * by the port from before the rewrite.
 */
static __always_inline int restore_quoted_forward(struct packet *quote)
{
	struct ports to = quote->ports;
	struct flow_id flow;

	if (!(look_up_port(quote->direction, quote->protocol, to.destination) &
	      PORT_IS_TARGET))
		return 0;
	identify_flow(&flow, quote, quote->direction);
	to.destination = find_flow(&flow);
	if (!to.destination)
		return 0;
	change_ports(quote, to);
	return 1;
}

/*
 * An ICMP error quotes a reply whose source port was restored: the one who
 * sent that reply knows it by the port that the forward packets arrived at.
 */
static __always_inline int rewrite_quoted_reply(struct packet *quote)
{
	__u8 flow_direction = !quote->direction;
	struct ports from, to = quote->ports;
	__be16 restored = to.source;
	struct flow_id flow;
	struct rule *rule;
	__u16 entry;

	entry = look_up_port(flow_direction, quote->protocol, restored);
	rule = rule_at(rule_for(entry, quote->family, &quote->peer));
	if (!rule || rule->action != RULE_REWRITE || rule->flags & RULE_ONE_WAY)
		return 0;
	to.source = rewritten_port(rule, restored);
	from = quote->ports;
	quote->ports = to;
	identify_flow(&flow, quote, flow_direction);
	quote->ports = from;
	if (find_flow(&flow) != restored)
		return 0;
	change_ports(quote, to);
	return 1;
}

/*
 * Decides an ICMP error by the packet it quotes, whose direction is the one it
 * had itself, so the other than the error's.
 */
__noinline int decide_quote(struct packet *quote)
{
	if (!quote || quote->routed)
		return 0;
	if (restore_quoted_forward(quote) || rewrite_quoted_reply(quote))
		quote->decision.verdict = ICMP_ERROR_RESTORED;
	return 0;
}

#endif
