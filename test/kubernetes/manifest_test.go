package kubernetes

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestManifest builds the manifest, alone, and in a kustomization as README has
// it.
func TestManifest(t *testing.T) {
	base := kustomize(t, deploy(t))
	for _, want := range []string{
		"kind: Namespace", "kind: ServiceAccount", "kind: Role\n", "kind: RoleBinding", "kind: ConfigMap", "kind: DaemonSet",
		"image: localhost/xdp-port/xdp-port:latest", "readOnlyRootFilesystem: true", "automountServiceAccountToken: false",
	} {
		if !strings.Contains(base, want) {
			t.Errorf("no %q in\n%s", want, base)
		}
	}
	folder := t.TempDir()
	relative, err := filepath.Rel(folder, deploy(t))
	if err != nil {
		t.Fatal(err)
	}
	blocks := guide(t, "yaml")
	for i, name := range []string{"rules.yaml", "kustomization.yaml"} {
		text := strings.ReplaceAll(blocks[i], "github.com/xdp-port/xdp-port/deploy/kubernetes", relative)
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	mine := kustomize(t, folder)
	if !strings.Contains(mine, "kind: PodMonitor") || strings.Count(mine, "image: REGISTRY/xdp-port:TAG") != 2 ||
		!strings.Contains(mine, `"name": "no-smtp"`) {
		t.Errorf("%s", mine)
	}
}

// guide returns the blocks of a language in the README beside the manifest.
func guide(t *testing.T, language string) (blocks []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(deploy(t), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for i, part := range strings.Split(string(text), "```") {
		if block, is := strings.CutPrefix(part, language+"\n"); is && i%2 == 1 {
			blocks = append(blocks, block)
		}
	}
	return blocks
}

func kustomize(t *testing.T, folder string) string {
	t.Helper()
	out, err := exec.Command(filepath.Join(binDir(t), "kubernetes", "kubectl"), "kustomize", folder).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}
