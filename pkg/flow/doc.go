// Package flow reads and copies the table of flows of a loaded ruleset: the
// connections whose ports were rewritten.
package flow
