package need

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestMissing provides one program and expects the packages of all others.
func TestMissing(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "iptables"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", folder)
	missing := Missing()
	for _, name := range []string{"iptables", "nftables", "dnsmasq-base", "nginx-light"} { // iptables is missing because iptables-nft is
		if !slices.Contains(missing, name) {
			t.Errorf("%s is not among %v", name, missing)
		}
	}
	if err := os.Symlink("iptables", filepath.Join(folder, "iptables-nft")); err != nil {
		t.Fatal(err)
	}
	if slices.Contains(Missing(), "iptables") {
		t.Error("both programs of iptables are there, and it is missing")
	}
}

// TestProgram expects a skip if a program is missing, and a failure in CI.
func TestProgram(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for _, ci := range []string{"", "true"} {
		t.Setenv("CI", ci)
		skipped, failed := false, false
		t.Run("dig", func(t *testing.T) {
			n := &recorder{TB: t}
			Program(n, "dig", "nc", "unheard-of")
			skipped, failed = n.skipped == missing, n.failed == missing
		})
		if skipped != (ci == "") || failed != (ci == "true") {
			t.Errorf("with CI=%q: skipped %t, failed %t", ci, skipped, failed)
		}
	}
}

const missing = "missing: dig, nc, unheard-of; apt-get install bind9-dnsutils netcat-openbsd unheard-of"

// recorder records the end of a test and continues.
type recorder struct {
	testing.TB
	skipped, failed string
}

func (n *recorder) Skip(args ...any)  { n.skipped = args[0].(string) }
func (n *recorder) Fatal(args ...any) { n.failed = args[0].(string) }
