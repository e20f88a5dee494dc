// Package trace listens to what the programs decide, packet by packet.
package trace
