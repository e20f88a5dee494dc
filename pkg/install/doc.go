// Package install installs xdp-port on a node: its programs in the folder of the CNI
// plugins, and its entry in the conflist of the node's network. It also removes both.
//
// Other installers write into these folders at any time: network add-ons that come
// later, are upgraded, or restore their own version. Therefore every file is replaced
// in one step. A file that cannot be read stays untouched until its owner writes it
// again. A file is read again right before it is replaced.
//
// There is no lock that all installers take. A foreign write in the microseconds between
// that last look and the replacement is overwritten.
package install
