package bpf

import "strings"

// Maps of the programs' variables.
const (
	// MapConstants has the constants.
	MapConstants = ".rodata"
	// MapTrace has the variable trace.
	MapTrace = ".data.trace"
)

// oldPinNames are the names under which maps and programs are pinned that were
// renamed since. Rulesets of builds before and after it find each other's pins.
var oldPinNames = map[string]string{
	ProgramsMapCachedDecisions:   "known_packets",
	ProgramsMapFastCounterOwners: "near_devices",
	ProgramsMapFastCounters:      "near_counters",
	ProgramsProgFixUpChecksum:    "settle_checksum",
}

// PinName returns the name under which a map or a program is pinned. bpffs refuses
// dots, which are in the names of the maps of variables: .rodata and .data.trace.
func PinName(name string) string {
	if old, renamed := oldPinNames[name]; renamed {
		return old
	}
	return name[strings.LastIndexByte(name, '.')+1:]
}

// TCPrograms are the names of the programs at tc hooks.
var TCPrograms = []string{ProgramsProgFixUpChecksum, ProgramsProgFromContainerTc, ProgramsProgToContainer}

// IsOwnName tells whether the kernel calls a program of this build, or of one before,
// so. It truncates names.
func IsOwnName(name string) bool {
	const longest = 15 // BPF_OBJ_NAME_LEN - 1
	for _, own := range append([]string{ProgramsProgFromContainer}, TCPrograms...) {
		old := PinName(own)
		if name == own[:min(len(own), longest)] || name == old[:min(len(old), longest)] {
			return true
		}
	}
	return false
}

// Bool is a flag as the programs' variables have it.
func Bool(flag bool) uint8 {
	if flag {
		return 1
	}
	return 0
}
