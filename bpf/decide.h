/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Decides what happens to a packet, at any hook. The decision depends only on
 * the parsed packet, the flows and the rules: nothing here reads or writes a
 * frame.
 *
 * The rules of a direction match "forward" packets by their destination port. A
 * reply travels in the other direction. The verifier checks global functions
 * once, not once per caller, which keeps loading fast.
 */
#ifndef XDP_PORT_DECIDE_H
#define XDP_PORT_DECIDE_H

#include "counters.h"
#include "port_translation.h"
#include "decision_cache.h"

static __always_inline void look_up_ports(struct packet *pkt)
{
	__u8 direction = pkt->direction;

	pkt->forward_entry =
		look_up_port(direction, pkt->protocol, pkt->ports.destination);
	pkt->reply_entry =
		look_up_port(!direction, pkt->protocol, pkt->ports.source);
}

/* Whether no rule matches, judging by the port tables alone. */
static __always_inline int matches_no_rule(__u16 forward_entry,
					   __u16 reply_entry)
{
	return !forward_entry && !(reply_entry & PORT_IS_TARGET);
}

/*
 * Whether the packet may have been rewritten or restored before. Its ports
 * alone decide, since its flow may be gone by now.
 */
static __always_inline int may_recirculate(const struct packet *pkt)
{
	return (pkt->forward_entry & PORT_IS_OUTPUT) ||
	       (pkt->reply_entry & PORT_ID_MASK);
}

/* Sets the new ports of the packet, or of the packet that it quotes. */
static __always_inline void change_ports(struct packet *pkt, struct ports to)
{
	struct decision *decision = &pkt->decision;

	decision->ports = pkt->transport;
	decision->from = pkt->ports.word;
	decision->to = to.word;
}

/*
 * Whether this is XDP with tc ingress right behind it. Then XDP leaves
 * uncertain cases to tc ingress, for example packets that it may have changed
 * already.
 */
static __always_inline int may_defer(int is_xdp)
{
	return is_xdp && !is_native;
}

static __always_inline int is_dropped(const struct packet *pkt, __u16 entry)
{
	struct rule *rule = rule_at(rule_for(entry, pkt->family, &pkt->peer));

	return rule && rule->action == RULE_DROP;
}

/*
 * Whether a connection with these original ports has an alias, that is, would
 * have had `ports` if its source port had not been translated.
 */
__noinline int has_alias(const struct packet *pkt, const struct flow_id *flow,
			 __u32 original, __u32 ports)
{
	struct flow_id moved;

	if (!pkt || !flow)
		return 0;
	moved = *flow;
	moved.key.ports = ports;
	moved.original = original;
	return !!find_alias(pkt, &moved);
}

/* Follows the flow of a reply. Restores its alias if that was evicted. */
static __always_inline void follow_reply(const struct packet *pkt,
					 struct flow_id *flow)
{
	struct ports original = { .word = flow->original };
	struct ports ports = { .word = flow->key.ports };
	int has_changed = follow_flow(pkt, flow);

	if (original.source == ports.source)
		return;
	ports.source = original.source;
	if (has_changed || !has_alias(pkt, flow, original.word, ports.word))
		insert_alias(pkt, flow);
}

/*
 * Restores the ports of a reply. Returns whether the packet is a reply of a
 * flow with changed ports; the rules of the packet's own direction do not apply
 * then. A direct connection with a translated source port is subject to these
 * rules like any other connection.
 *
 * After a loop through the host, XDP may see a packet that it has restored
 * before. If that packet belongs to a direct connection with a translated
 * source port, it looks like a reply of the flow that had the source port
 * first. XDP therefore leaves the replies of both to tc ingress.
 */
static __always_inline int restore_reply(struct packet *pkt, enum hook hook)
{
	struct ports wire = reversed(pkt->ports), original, to;
	struct flow_id flow;
	__u16 entry;

	if (!(pkt->reply_entry & PORT_IS_TARGET))
		return 0;
	identify_flow(&flow, pkt, wire, !pkt->direction);
	original.word = find_flow(pkt, &flow, ORIGINAL_PORTS);
	if (may_defer(hook == AT_XDP) &&
	    (original.destination == wire.destination ||
	     (may_have_alias(&flow) &&
	      has_alias(pkt, &flow, wire.word, wire.word)))) {
		pkt->decision.verdict = DEFERRED;
		return 1;
	}
	if (!original.word)
		return 0;
	follow_reply(pkt, &flow);
	to = reversed(original);
	if (original.word == wire.word) {
		if (!pkt->forward_entry)
			cache_decision(pkt, hook, &flow);
		return 0;
	}
	if (original.destination == wire.destination) {
		entry = look_up_port(pkt->direction, pkt->protocol,
				     to.destination);
		if (is_dropped(pkt, entry)) {
			pkt->forward_entry = entry; /* count it for this rule */
			return 0;
		}
	}
	pkt->decision.verdict = REPLY_RESTORED;
	change_ports(pkt, to);
	cache_decision(pkt, hook, &flow);
	return 1;
}

/*
 * Gives a forward packet the ports of its flow: `ports`, unless another flow
 * has them. The decision is not cached for a packet that would be a reply if a
 * certain other flow existed.
 */
static __always_inline void track(struct packet *pkt, struct ports ports,
				  enum hook hook)
{
	struct decision *decision = &pkt->decision;
	struct flow_id flow;

	identify_flow(&flow, pkt, ports, pkt->direction);
	ports.word = track_flow(pkt, &flow);
	decision->events = flow.events;
	if (unlikely(!ports.word)) {
		decision->verdict = DROPPED;
		decision->ports = 0;
		return;
	}
	if (ports.word != pkt->ports.word) {
		decision->verdict = REWRITTEN;
		change_ports(pkt, ports);
	}
	if (!(pkt->reply_entry & PORT_IS_TARGET))
		cache_decision(pkt, hook, &flow);
}

static __always_inline void rewrite(struct packet *pkt, const struct rule *rule,
				    enum hook hook)
{
	struct ports to = pkt->ports;

	to.destination = rewritten_port(rule, to.destination);
	pkt->decision.verdict = REWRITTEN;
	change_ports(pkt, to);
	if (!(rule->flags & RULE_ONE_WAY))
		track(pkt, to, hook);
}

/* Decides a TCP or UDP packet. Its addresses have been read. */
__noinline int decide(struct packet *pkt, __u32 hook)
{
	struct decision *decision;
	struct rule *rule;

	if (!pkt)
		return 0;
	decision = &pkt->decision;
	if (pkt->drops_only && pkt->reply_entry & PORT_IS_TARGET) {
		decision->verdict = DEFERRED; /* it may be a reply */
		return 0;
	}
	if (!pkt->damaged && !pkt->routed && restore_reply(pkt, hook))
		return 0;
	decision->rule = rule_for(pkt->forward_entry, pkt->family, &pkt->peer);
	rule = rule_at(decision->rule);
	if (rule && rule->action == RULE_DROP) {
		decision->verdict = DROPPED;
	} else if (pkt->drops_only) {
		decision->verdict = DEFERRED;
	} else if (pkt->damaged) {
		decision->verdict = MALFORMED;
		decision->rule = 0;
	} else if (pkt->routed) {
		decision->rule = 0;
	} else if (rule && rule->action == RULE_REWRITE) {
		rewrite(pkt, rule, hook);
	} else if (pkt->forward_entry & PORT_IS_TARGET) {
		track(pkt, pkt->ports, hook);
	}
	return 0;
}

/*
 * Restores the ports in an ICMP error that quotes a forward packet as it was on
 * the wire outside. The sender knows the packet by its original ports.
 */
static __always_inline int restore_quoted_forward(struct packet *quote)
{
	struct ports ports = quote->ports;
	struct flow_id flow;

	if (!(look_up_port(quote->direction, quote->protocol,
			   ports.destination) &
	      PORT_IS_TARGET))
		return 0;
	identify_flow(&flow, quote, ports, quote->direction);
	ports.word = find_flow(quote, &flow, ORIGINAL_PORTS);
	if (!ports.word || ports.word == quote->ports.word)
		return 0;
	change_ports(quote, ports);
	return 1;
}

/*
 * Returns the ports of the forward packets that this packet replies to, as they
 * would be without source-port translation. Returns 0 if the rules keep no flow
 * for them.
 */
static __always_inline __be32 untranslated_ports(const struct packet *reply)
{
	struct ports ports = reversed(reply->ports);
	__u16 entry = look_up_port(!reply->direction, reply->protocol,
				   ports.destination);
	struct rule *rule =
		rule_at(rule_for(entry, reply->family, &reply->peer));

	if (!rule || rule->action == RULE_PASS)
		return entry & PORT_IS_TARGET ? ports.word : 0;
	if (rule->action != RULE_REWRITE || rule->flags & RULE_ONE_WAY)
		return 0;
	ports.destination = rewritten_port(rule, ports.destination);
	return ports.word;
}

/*
 * Restores the ports in an ICMP error that quotes a reply with restored ports.
 * The sender of the reply knows it by the ports of the forward packets that it
 * received.
 */
static __always_inline int rewrite_quoted_reply(struct packet *quote)
{
	struct ports ports;
	struct flow_id flow;

	ports.word = untranslated_ports(quote);
	if (!ports.word)
		return 0;
	identify_flow(&flow, quote, ports, !quote->direction);
	flow.original = reversed(quote->ports).word;
	ports.word = find_flow(quote, &flow, OWN_PORTS);
	if (!ports.word) {
		flow.key.ports = look_up_alias(quote, &flow);
		locate_flow(quote, &flow);
		ports.word = find_flow(quote, &flow, OWN_PORTS);
	}
	if (!ports.word || ports.word == flow.original)
		return 0;
	change_ports(quote, reversed(ports));
	return 1;
}

/*
 * Decides an ICMP error by the packet that it quotes. The quoted packet
 * travelled in the opposite direction of the error.
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
