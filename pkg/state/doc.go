// Package state keeps what xdp-port knows, all of it in bpffs:
//
//	/sys/fs/bpf/xdp-port/
//	  rulesets/<hash>/                               a loaded ruleset:
//	    from_container ... rules, flows, counters    its programs and maps
//	    attachments/<network>/<container>/<ifname>/  and who uses it:
//	      record, xdp, tc_ingress, tc_egress         the pinned links
//	  tmp/<pid>-<n>/                                 being built or removed
//
// Changes hold an exclusive lock on the state folder. Whatever is built is
// built in tmp and renamed into place, and renamed away before it is removed;
// what is found in tmp under the lock was left by a process that died, and is
// removed.
package state
