// Package state keeps what xdp-port knows, all of it in bpffs:
//
//	/sys/fs/bpf/xdp-port/
//	  rulesets/<hash>/                               a loaded ruleset:
//	    from_container ... rules, flows, counters    its programs and maps
//	    description                                  what it was loaded for
//	    attachments/<network>/<container>/<ifname>/  and who uses it:
//	      record, xdp, tc_ingress, tc_egress         the pinned links
//	    claims/[<key>-]<pid>-<n>/                    attachments in the making
//	                                                 (with key) or in removal
//	  tmp/<pid>-<n>/                                 rulesets in the same
//
// Changes hold an exclusive lock on the state folder. Whatever is built is
// built aside and renamed into place, and renamed away before it is removed.
// The lock is given away while the kernel loads, attaches or detaches, which it
// takes long over; a claim, locked by itself, then keeps the ruleset. What is found in
// tmp under the lock, or claimed by nobody, was left by a process that died, and
// is removed.
package state
