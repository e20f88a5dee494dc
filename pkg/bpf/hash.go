package bpf

import (
	"crypto/sha256"
	"encoding/hex"
)

// Hash names the build of the programs by 12 hexadecimal digits. Rulesets of
// builds with different programs have different hashes.
func Hash() string {
	sum := Digest()
	return hex.EncodeToString(sum[:6])
}

// layout is the version of the maps that this build makes of the embedded
// programs. Another number separates rulesets of two builds with equal programs.
//
// 1: entries of `counters` have owners.
const layout = 1

// Digest covers all that distinguishes the programs of this build from those of
// another build, except for the rules.
func Digest() [sha256.Size]byte {
	h := sha256.New()
	h.Write(_ProgramsBytes)
	h.Write([]byte{layout, Bool(Tracing)})
	return [sha256.Size]byte(h.Sum(nil))
}

// RulesetIDDigits is how many hexadecimal digits of a ruleset's hash the programs
// know it by.
const RulesetIDDigits = 16
