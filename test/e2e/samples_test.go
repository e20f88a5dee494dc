package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/xdp-port/xdp-port/test/node"
)

const samplesFolder = "../../conf"

// samples has a test for each conflist in conf. Its traffic proves all rules of the conflist.
var samples = map[string]func(*testing.T, *node.Node, string){
	"10-bridge":              tryBridge,
	"20-ptp":                 tryPTP,
	"30-portmap-bandwidth":   tryPortmapBandwidth,
	"40-node-local-dns":      tryNodeLocalDNS,
	"50-block-smtp":          tryBlockSMTP,
	"60-unprivileged-server": tryUnprivilegedServer,
	"70-kubernetes":          tryKubernetes,
	"80-multus":              tryMultus,
	"90-podman":              tryPodman,
}

// TestSamples attaches to each network in conf, tests it and detaches. Each sample needs a test and a
// guide.
func TestSamples(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(samplesFolder, "*.conflist"))
	must(t, err)
	if len(files) < len(samples) {
		t.Errorf("%d samples are tried, there are %d", len(samples), len(files))
	}
	guide, err := os.ReadFile(filepath.Join(samplesFolder, "README.md"))
	must(t, err)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".conflist")
		t.Run(name, func(t *testing.T) {
			try := samples[name]
			if try == nil {
				t.Fatalf("nobody tries %s", file)
			}
			if !strings.Contains(string(guide), "\n## "+filepath.Base(file)+"\n") {
				t.Errorf("the guide says nothing of %s", file)
			}
			before := node.State()
			n := node.ForTest(t)
			must(t, n.ConflistFile(file))
			try(t, n, sampleName(t, file))
			must(t, n.Close())
			must(t, before.Unchanged())
		})
	}
}

func sampleName(t *testing.T, file string) string {
	t.Helper()
	return readSample(t, file)["name"].(string)
}

func readSample(t *testing.T, file string) (list map[string]any) {
	t.Helper()
	text, err := os.ReadFile(file)
	must(t, err)
	must(t, json.Unmarshal(text, &list))
	return list
}

// TestSamplesGoTogether expects all samples to fit onto one node, and to begin as old and new runtimes
// accept it.
func TestSamplesGoTogether(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(samplesFolder, "*.conflist"))
	must(t, err)
	seen := map[any]string{}
	once := func(file string, thing any) {
		if thing != nil && seen[thing] != "" {
			t.Errorf("%v is in %s and in %s", thing, seen[thing], file)
		}
		seen[thing] = file
	}
	for _, file := range files {
		list := readSample(t, file)
		if list["cniVersion"] != "1.0.0" || !reflect.DeepEqual(list["cniVersions"], []any{"1.0.0", "1.1.0"}) {
			t.Errorf("the head of %s is another one", file)
		}
		once(file, list["name"])
		main := list["plugins"].([]any)[0].(map[string]any)
		once(file, main["bridge"])
		for _, ranges := range main["ipam"].(map[string]any)["ranges"].([]any) {
			once(file, ranges.([]any)[0].(map[string]any)["subnet"])
		}
	}
}

// manifestBlock returns the block text under a key of a YAML file.
func manifestBlock(t *testing.T, file, key string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(samplesFolder, file))
	must(t, err)
	_, rest, found := strings.Cut(string(text), key+": |\n")
	if !found {
		t.Fatalf("%s has no %s", file, key)
	}
	indent := rest[:len(rest)-len(strings.TrimLeft(rest, " "))]
	var lines []string
	for line := range strings.Lines(rest) {
		if !strings.HasPrefix(line, indent) {
			break
		}
		lines = append(lines, strings.TrimPrefix(line, indent))
	}
	return strings.Join(lines, "")
}
