package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/xdp-port/xdp-port/test/bench/internal/report"
	"github.com/xdp-port/xdp-port/test/bench/internal/result"
	"github.com/xdp-port/xdp-port/test/internal/need"
	"github.com/xdp-port/xdp-port/test/node"
)

// TestAll runs every comparison with so few samples that the figures mean nothing. It only shows
// that the bench works.
func TestAll(t *testing.T) {
	need.Program(t, "iperf3", "nft", "iptables-nft")
	found, output := node.State(), filepath.Join(t.TempDir(), "bench.json")
	if err := run(context.Background(), effort{scale: 5000, least: 1}, "", output); err != nil {
		t.Fatal(err)
	}
	if err := found.Unchanged(); err != nil {
		t.Error(err)
	}
	if err := node.Leftovers(); err != nil {
		t.Error(err)
	}
	got, err := result.Read(output)
	if err != nil {
		t.Fatal(err)
	}
	writeReport(t, got)
	for _, claim := range got.Claims {
		if claim.Measured == (result.Spread{}) {
			t.Errorf("%s: nothing was measured", claim.What)
		}
	}
	for _, table := range got.Tables {
		for _, row := range table.Rows {
			if len(row.Samples) == 0 {
				t.Errorf("%s: %s has no samples", table.Title, row.Name)
			}
		}
	}
}

// writeReport fails if a table or contender of the picture is not in the run, or if README lacks the marks.
func writeReport(t *testing.T, found *result.Result) {
	t.Helper()
	root := t.TempDir()
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "README.md"), readme, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := report.Write(found, root); err != nil {
		t.Error(err)
	}
}
