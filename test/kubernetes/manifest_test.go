package kubernetes

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestManifest builds the manifest, alone and with the PodMonitor, as users do in
// a kustomization of their own.
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
	text := fmt.Sprintf("resources: [%s]\ncomponents: [%s/podmonitor]\nimages: [{name: localhost/xdp-port/xdp-port, newName: mine, newTag: v1}]\n"+
		"patches: [{ path: rules.yaml, target: { kind: ConfigMap, name: xdp-port } }]\n", relative, relative)
	const rules = "kind: ConfigMap\nmetadata: { name: xdp-port }\ndata: { xdp-port.json: mine }\n"
	if err := os.WriteFile(filepath.Join(folder, "rules.yaml"), []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "kustomization.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	mine := kustomize(t, folder)
	if !strings.Contains(mine, "kind: PodMonitor") || strings.Count(mine, "image: mine:v1") != 2 || !strings.Contains(mine, "xdp-port.json: mine") {
		t.Errorf("%s", mine)
	}
}

func kustomize(t *testing.T, folder string) string {
	t.Helper()
	out, err := exec.Command(filepath.Join(binDir(t), "kubernetes", "kubectl"), "kustomize", folder).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}
