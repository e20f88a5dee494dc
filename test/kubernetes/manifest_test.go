package kubernetes

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestManifest builds the manifest alone, and in the README's kustomization.
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

// TestManifestWithTokens has the component tokens and the one for Prometheus.
func TestManifestWithTokens(t *testing.T) {
	folder := t.TempDir()
	relative, err := filepath.Rel(folder, deploy(t))
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("resources: [%[1]s]\ncomponents: [%[1]s/podmonitor, %[1]s/tokens]\n", relative)
	if err := os.WriteFile(filepath.Join(folder, "kustomization.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	built := kustomize(t, folder)
	for word, want := range map[string]int{
		"- --require-token": 1, "scheme: HTTPS": 2, "scheme: https": 1, "insecureSkipVerify: true": 1,
		"name: system:auth-delegator": 1, "- /metrics": 1,
	} {
		if got := strings.Count(built, word); got != want {
			t.Errorf("%q is %d times in it, want %d:\n%s", word, got, want, built)
		}
	}
}

// guide returns the blocks of a language in the README next to the manifest.
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
