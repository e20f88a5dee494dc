/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Import of flows by user space, from the table of another ruleset.
 */
#ifndef XDP_PORT_FLOW_IMPORT_H
#define XDP_PORT_FLOW_IMPORT_H

#include "flow_alias.h"

/*
 * Imports a flow or an alias, unless it has expired or the table has it with a
 * later use.
 */
__noinline int import_record(const struct flow_record *record)
{
	__u32 now = bpf_jiffies64();
	struct flow_bucket *bucket;
	struct packet pkt = {};
	struct flow_id id = {};
	struct ports original;
	__u32 used, slot;

	if (!record)
		return -1;
	pkt.container = record->flow.container;
	pkt.peer = record->flow.peer;
	id.key = record->flow.key;
	id.original = record->flow.original;
	id.state = record->state;
	id.answer = record->answer;
	used = record->is_fresh ? now : record->used;
	if (idle_for(used, now) > flow_lifetime[id.state % FLOW_STATES])
		return 0;
	original.word = id.original;
	if (id.key.alias) {
		announce_alias(&pkt, &id);
		locate_alias(&pkt, &id, original.destination);
	} else {
		locate_flow(&pkt, &id);
	}
	bucket = bucket_of(&id);
	if (!bucket)
		return -1;
	bpf_spin_lock(&bucket->lock);
	slot = slot_for(bucket, &id, now);
	if (bucket->tag[slot] != id.tag ||
	    (__s32)(used - bucket->used[slot]) > 0) {
		write_flow(bucket, &pkt, &id, slot, now);
		bucket->used[slot] = used;
	}
	bpf_spin_unlock(&bucket->lock);
	return 0;
}

#endif
