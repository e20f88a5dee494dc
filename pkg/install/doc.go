// Package install puts xdp-port onto a node: its programs into the folder of the
// CNI plugins, and its entry into the conflist of the node's network, and takes
// both away again.
//
// Others write into these folders, too, at any time: network add-ons that come
// later, are upgraded, or put their own version back. So every file is seen old
// or new and never half, what cannot be read is left alone until it is written
// anew, and what is there is looked at again right before it is replaced. There
// is no lock that they all take: a write of somebody else between that look and
// the replacement, some microseconds, is lost.
package install
