// Package attachment brings a device under a loaded ruleset: it attaches the programs,
// keeps a record beside their links, replaces them, and verifies all of it.
//
// An attachment is a folder with pins. Where that lies is for pkg/state to say.
package attachment
