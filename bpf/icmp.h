/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The packet that an ICMP or ICMPv6 error quotes (RFC 792, RFC 4443). */
#ifndef XDP_PORT_ICMP_H
#define XDP_PORT_ICMP_H

#include "addresses.h"
#include "checksum.h"
#include "decide.h"
#include "decision_cache.h"

/*
 * Returns the offset of the packet that an ICMPv6 redirect quotes; 0: none. The
 * packet is in an option behind the target and the destination, possibly after
 * an option with the target's link-layer address (RFC 4861 sections 4.5 and
 * 4.6.3).
 */
static __always_inline __u32 redirected_packet(const struct frame *frame,
					       const struct packet *error)
{
	__u32 offset = error->transport + sizeof(struct icmp_header) + 32;

	for (int i = 0; i < MAX_REDIRECT_OPTIONS; i++) {
		struct nd_option *option =
			bytes_at(frame, offset, sizeof(*option));

		if (!option || !option->length)
			return 0;
		if (option->type == ND_OPTION_REDIRECTED_HEADER)
			return offset + sizeof(*option);
		offset += option->length * 8;
	}
	return 0;
}

static __always_inline __u32 quote_offset(const struct frame *frame,
					  const struct packet *error)
{
	if (unlikely(error->redirect))
		return redirected_packet(frame, error);
	return error->transport + sizeof(struct icmp_header);
}

/* Parses the quote of an error. Returns whether it is TCP or UDP. */
static __always_inline int parse_quote(const struct frame *frame,
				       const struct packet *error,
				       struct packet *quote)
{
	quote->quoted = 1;
	quote->ifindex = error->ifindex;
	quote->direction = !error->direction;
	quote->end = error->end;
	quote->network = quote_offset(frame, error);
	quote->family = error->family;
	return quote->network &&
	       parse_network_of(frame, quote) == PARSED_TRANSPORT &&
	       !read_addresses(frame, quote);
}

/*
 * Fixes up the checksum of the quoted packet, if the quote includes it. The
 * checksum of the error then stays the same, since the two changes cancel out.
 */
static __always_inline void fix_up_quoted_checksum(const struct frame *frame,
						   const struct packet *quote,
						   struct packet *error)
{
	struct decision *decision = &error->decision;
	__sum16 *check = NULL;

	if (quote->checksum)
		check = bytes_at(frame, quote->checksum, sizeof(*check));
	if (!check) {
		decision->checksum = error->checksum;
		return;
	}
	decision->quoted_checksum = quote->checksum;
	if (quote->protocol == IPPROTO_UDP)
		decision->quoted_value = update_udp_checksum(
			*check, decision->from, decision->to);
	else
		decision->quoted_value =
			update_checksum(*check, decision->from, decision->to);
}

static __always_inline int decide_error(const struct frame *frame,
					struct packet *error)
{
	struct packet quote = {};

	if (!parse_quote(frame, error, &quote))
		return 0;
	decide_quote(&quote);
	error->decision = quote.decision;
	if (quote.decision.verdict == ICMP_ERROR_RESTORED)
		fix_up_quoted_checksum(frame, &quote, error);
	return 0;
}

DEFINE_PER_HOOK(decide_error)

/*
 * Whether XDP drops the packet or leaves it to tc ingress, but never changes
 * it. Without a checksum, a hint cannot distinguish the packet from a copy.
 * With a VLAN tag, the stack changes the frame between XDP and tc ingress.
 */
static __always_inline int decides_drops_only(const struct frame *frame,
					      const struct packet *pkt)
{
	return may_defer(!!frame->xdp) &&
	       (!pkt->checksum || pkt->network != sizeof(struct ethhdr));
}

/*
 * Whether the packet's interface is enabled. Programs that see all packets have
 * checked that already. XDP with tc ingress behind it does not check it for the
 * many packets that match no rule.
 */
static __always_inline int is_enabled(const struct frame *frame,
				      const struct packet *pkt)
{
	return !may_defer(!!frame->xdp) || counters_of(pkt->ifindex);
}

/*
 * Parses any packet and sets its verdict, except for ICMP errors and for
 * packets that need rules or flows. The stack is too small to call decide() and
 * decide_error() from here.
 */
static __always_inline int classify(const struct frame *frame,
				    struct packet *pkt)
{
	enum parsed parsed = parse_frame(frame, pkt);

	if (unlikely(parsed == PARSED_MALFORMED))
		pkt->decision.verdict = MALFORMED;
	if (unlikely(parsed == PARSED_ICMP_ERROR && may_defer(!!frame->xdp)))
		pkt->decision.verdict = DEFERRED;
	if (parsed != PARSED_TRANSPORT)
		return parsed;
	look_up_ports(pkt);
	if (!pkt->damaged &&
	    matches_no_rule(pkt->forward_entry, pkt->reply_entry))
		return parsed;
	if ((may_defer(!!frame->xdp) && may_recirculate(pkt)) ||
	    !is_enabled(frame, pkt)) {
		pkt->decision.verdict = DEFERRED;
		return parsed;
	}
	pkt->drops_only = decides_drops_only(frame, pkt);
	if (read_addresses(frame, pkt))
		return parsed;
	return PARSED_FOR_RULES;
}

DEFINE_PER_HOOK(classify)

#endif
