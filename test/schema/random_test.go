package schema

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// TestRandomRanges expects the schema to find ranges that run backwards. The schema
// compares them digit by digit.
func TestRandomRanges(t *testing.T) {
	ports := part(t, "ports")
	random := rand.New(rand.NewPCG(1, 2))
	number := func() int { return 1 + random.IntN(min(65535, []int{9, 99, 999, 9999, 65535}[random.IntN(5)])) }
	for range 20000 {
		first, last := number(), number()
		if random.IntN(2) == 0 {
			last = max(1, min(65535, first+random.IntN(21)-10))
		}
		text := fmt.Sprintf("%d-%d", first, last)
		if taken := ports.Validate(text) == nil; taken != (first <= last) {
			t.Errorf("the schema takes %s: %t", text, taken)
		}
	}
}

// TestRandomPrefixes expects the schema to distinguish addresses from similar text.
func TestRandomPrefixes(t *testing.T) {
	prefix := part(t, "prefix")
	random := rand.New(rand.NewPCG(3, 4))
	pieces := []string{":", ":", ":", "::", "0", "1", "a", "ffff", "12345", "1.2.3.4", "255.255.255.255", "256.1.1.1", "."}
	addresses := 0
	for range 200000 {
		var b strings.Builder
		for range 1 + random.IntN(16) {
			b.WriteString(pieces[random.IntN(len(pieces))])
		}
		text := fmt.Sprintf("%s/%d", b.String(), random.IntN(140))
		_, err := netip.ParsePrefix(text)
		if taken := prefix.Validate(text) == nil; taken != (err == nil) {
			t.Errorf("the schema takes %s: %t", text, taken)
		}
		if err == nil {
			addresses++
		}
	}
	if addresses < 1000 {
		t.Errorf("only %d of what was tried are addresses", addresses)
	}
}

// part returns the schema of a part of the configuration.
func part(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile(schemaFile + "#/$defs/" + name)
	must(t, err)
	return schema
}
