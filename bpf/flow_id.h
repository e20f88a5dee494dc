/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The identity of a flow, and its location in the table: the hash of a flow
 * selects a bucket, and the rest of the hash is the tag of its slot.
 */
#ifndef XDP_PORT_FLOW_ID_H
#define XDP_PORT_FLOW_ID_H

#include "parse.h"

/*
 * User space owns the element behind the last bucket, and keeps the seed there.
 */
const volatile __u32 flow_buckets = 1;
/* Secret, so that nobody can choose flows that evict certain flows. */
const volatile __u64 flow_seed;

/* A flow to look up, apart from its addresses, and the result. */
struct flow_id {
	struct flow_key key;
	__be32 original;	 /* as in struct flow */
	struct flow_place place; /* slot 0: not found */
	__u32 tag;
	__u32 answer; /* as in struct flow_bucket */
	enum flow_state state;
	__u8 events; /* enum flow_event */
	__u8 pad[7]; /* older kernels require initialized arguments */
};

/*
 * Multiplication carries bits upwards only, and addresses differ mostly in
 * their last bytes, which are the upper bits of a loaded word.
 */
static __always_inline __u64 fold(__u64 word)
{
	return word ^ word >> 32;
}

/* The constants are arbitrary: digits of the golden ratio and others. */
static __always_inline __u64 hash_flow(const struct packet *pkt,
				       const struct flow_id *id)
{
	const struct flow_key *key = &id->key;
	__u64 hash = fold(pkt->container.word[0]) * 0x9e3779b97f4a7c15 +
		     fold(pkt->container.word[1]) * 0xbf58476d1ce4e5b9 +
		     fold(pkt->peer.word[0]) * 0x94d049bb133111eb +
		     fold(pkt->peer.word[1]) * 0xd6e8feb86659fd93;

	/*
	 * Multiply before adding the ports. Otherwise an attacker who chooses
	 * an address could compensate for a port while knowing one bit of the
	 * seed.
	 */
	hash = fold((hash ^ flow_seed) * 0xc2b2ae3d27d4eb4f);
	hash += (__u64)key->ifindex << 32 | key->ports;
	hash = fold(hash * 0x9fb21c651e98df25);
	hash += key->protocol << 16 | key->direction << 8 | key->family;
	return fold(hash * 0xff51afd7ed558ccd);
}

static __always_inline void set_location(struct flow_id *id, __u64 hash)
{
	id->place.bucket = (hash >> 32) * flow_buckets >> 32;
	id->tag = (__u32)hash | 1; /* 0 marks a free slot */
	id->place.version = 0;
	id->place.slot = 0;
}

static __always_inline void locate_flow(const struct packet *pkt,
					struct flow_id *id)
{
	set_location(id, hash_flow(pkt, id));
}

/*
 * Locates the alias with this flow's key, of a connection to the original port
 * `asked`. Many aliases may share one key, so each has a bucket of its own.
 */
static __always_inline void locate_alias(const struct packet *pkt,
					 struct flow_id *id, __be16 asked)
{
	__u64 hash = hash_flow(pkt, id) + asked + 1;

	hash = fold(hash * 0x9fb21c651e98df25);
	set_location(id, fold(hash * 0xff51afd7ed558ccd));
}

/*
 * Sets the flow of this direction with these ports. The packet is a forward
 * packet of the flow or, in the other direction, a reply.
 */
static __always_inline void identify_flow(struct flow_id *id,
					  const struct packet *pkt,
					  struct ports ports,
					  __u8 flow_direction)
{
	struct flow_key *key = &id->key;

	key->ifindex = pkt->ifindex;
	key->ports = ports.word;
	key->protocol = pkt->protocol;
	key->direction = flow_direction;
	key->family = pkt->family;
	key->alias = 0;
	id->original = pkt->ports.word;
	id->answer = 0;
	id->state = 0;
	id->events = 0;
	__builtin_memset(id->pad, 0, sizeof(id->pad));
	locate_flow(pkt, id);
}

static __always_inline int is_reply(const struct packet *pkt,
				    const struct flow_id *id)
{
	return pkt->direction != id->key.direction;
}

#endif
