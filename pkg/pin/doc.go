// Package pin opens and writes what is pinned in a BPF file system: maps, links,
// programs, and JSON documents, which are maps of one element.
package pin
