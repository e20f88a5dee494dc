/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Source-port translation. A rewrite, or a direct connection to the port that a
 * rewrite produces, may give a connection the same ports as an older one
 * between the same addresses. The newer connection then gets another source
 * port.
 */
#ifndef XDP_PORT_PORT_TRANSLATION_H
#define XDP_PORT_PORT_TRANSLATION_H

#include "flow_alias.h"

/* How many source ports to try, as in netfilter. */
#define PORT_ATTEMPTS 128

/*
 * The range of source ports to choose from, as in netfilter (nf_nat_core.c,
 * nf_nat_l4proto_unique_tuple). A privileged port stays privileged, since a
 * server may require one.
 */
static __always_inline __u32 first_source_port(__u16 port)
{
	return port < 512 ? 1 : port < 1024 ? 600 : 1024;
}

static __always_inline __u32 source_port_count(__u16 port)
{
	return port < 512 ? 511 : port < 1024 ? 424 : 64512;
}

/*
 * Inserts the flow with the given choice of source port. Returns whether that
 * port was free; the original port never is.
 */
__noinline int try_source_port(const struct packet *pkt, struct flow_id *id,
			       __u32 choice)
{
	struct ports ports;
	__u16 source;

	if (!pkt || !id)
		return 0;
	ports.word = id->original;
	source = bpf_ntohs(ports.source);
	ports.word = id->key.ports;
	ports.source = bpf_htons(first_source_port(source) +
				 choice % source_port_count(source));
	id->key.ports = ports.word;
	locate_flow(pkt, id);
	return insert_flow(pkt, id);
}

/*
 * Inserts the flow with another source port. Returns the translated ports; 0:
 * no source port is free.
 */
__noinline int translate_source_port(const struct packet *pkt,
				     struct flow_id *id)
{
	__u32 choice = bpf_get_prandom_u32() >> 1;

	if (!pkt || !id)
		return 0;
	for (int i = 0; i < PORT_ATTEMPTS; i++) {
		if (try_source_port(pkt, id, choice + i)) {
			id->events |= PORT_MOVED;
			return id->key.ports;
		}
	}
	id->events |= PORTS_EXHAUSTED;
	return 0;
}

/*
 * Returns the translated ports of a connection that has an alias, even if its
 * flow is gone; 0: another connection has taken the ports.
 */
static __always_inline __be32 reuse_alias(const struct packet *pkt,
					  struct flow_id *id, __be32 moved)
{
	__be32 untranslated = id->key.ports;

	id->key.ports = moved;
	locate_flow(pkt, id);
	if (find_flow(pkt, id, OWN_PORTS)) {
		if (follow_flow(pkt, id))
			insert_alias(pkt, id);
		return id->key.ports;
	}
	start_flow(pkt, id);
	if (insert_flow(pkt, id)) {
		insert_alias(pkt, id);
		return id->key.ports;
	}
	id->key.ports = untranslated;
	locate_flow(pkt, id);
	return 0;
}

/*
 * Returns the ports for a forward packet: those in id->key, or with another
 * source port; 0: no source port is free. Inserts the flow if it is new.
 */
static __always_inline __be32 track_flow(const struct packet *pkt,
					 struct flow_id *id)
{
	__be32 ports = find_flow(pkt, id, OWN_PORTS);

	if (likely(ports)) {
		follow_flow(pkt, id);
		return ports;
	}
	ports = unlikely(may_have_alias(id)) ? find_alias(pkt, id) : 0;
	if (ports) {
		ports = reuse_alias(pkt, id, ports);
		if (ports)
			return ports;
	}
	start_flow(pkt, id);
	if (insert_flow(pkt, id))
		return id->key.ports;
	ports = translate_source_port(pkt, id);
	if (ports)
		insert_alias(pkt, id);
	return ports;
}

#endif
