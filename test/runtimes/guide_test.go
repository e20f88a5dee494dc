package runtimes

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/xdp-port/xdp-port/test/internal/machine"
	"github.com/xdp-port/xdp-port/test/runtimes/internal/cri"
)

// The tests in this file follow README word for word, each on a machine with nothing but the runtime.

func TestGuideCtr1(t *testing.T) { followCtr(t, startContainerd(t, containerd1).m) }

func TestGuideCtr2(t *testing.T) { followCtr(t, startContainerd(t, containerd2).m) }

func followCtr(t *testing.T, m *machine.Machine) {
	follow(t, m, "The node")
	wantPromised(t, follow(t, m, "containerd"))
	wantNothing(t, m, nil)
}

func TestGuidePodman(t *testing.T) {
	m := newPodmanMachine(t)
	follow(t, m, "The node")
	wantPromised(t, follow(t, m, "podman"))
	wantNothing(t, m, nil)
}

func TestGuideKubernetes1(t *testing.T) { followKubernetes(t, containerd1) }

func TestGuideKubernetes2(t *testing.T) { followKubernetes(t, containerd2) }

// followKubernetes acts as the kubelet does with the guide's pod.
func followKubernetes(t *testing.T, e edition) {
	m := startContainerd(t, e).m
	follow(t, m, "The node")
	follow(t, m, "Kubernetes")
	client := dial(t, m)
	pod := readPod(t, guide(t, "Kubernetes", "yaml"))
	must(t, client.Run(pod))
	must(t, eventually(func() error { return client.Ended(pod.Name) }))
	log, err := client.Log(pod.Name)
	must(t, err)
	wantPromised(t, log)
	must(t, client.Remove(pod.Name))
	wantNothing(t, m, nil)
}

// readPod reads the parts of a pod's manifest that the kubelet passes to the runtime.
func readPod(t *testing.T, text string) cri.Pod {
	t.Helper()
	var manifest struct {
		Metadata struct {
			Name        string
			Annotations map[string]string
		}
		Spec struct {
			Containers []struct {
				Image         string
				Command, Args []string
			}
		}
	}
	must(t, yaml.Unmarshal([]byte(text), &manifest))
	container := manifest.Spec.Containers[0]
	return cri.Pod{
		Name: manifest.Metadata.Name, Annotations: manifest.Metadata.Annotations,
		Image: container.Image, Command: container.Command, Args: container.Args,
	}
}

// wantPromised expects the output to end as in the guide.
func wantPromised(t *testing.T, output string) {
	t.Helper()
	if !strings.HasSuffix(strings.TrimSpace(output), "udp 7998") {
		t.Errorf("the guide promises udp 7998, this came: %s", output)
	}
}

// follow runs the commands below a heading of the guide and returns their output.
func follow(t *testing.T, m *machine.Machine, heading string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	printed, err := m.RunIn(ctx, repository(t), "sh", "-ec", guide(t, heading, "sh"))
	must(t, err)
	return printed
}

func repository(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("../..")
	must(t, err)
	return path
}

// guide returns the fenced blocks of a language below a heading of README.
func guide(t *testing.T, heading, language string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository(t), "README.md"))
	must(t, err)
	var found strings.Builder
	here, fence := false, ""
	for line := range strings.Lines(string(text)) {
		switch trimmed := strings.TrimSpace(line); {
		case fence != "" && trimmed == "```":
			fence = ""
		case fence != "":
			if here && fence == "```"+language {
				found.WriteString(line)
			}
		case strings.HasPrefix(trimmed, "```"):
			fence = trimmed
		case strings.HasPrefix(trimmed, "#"):
			here = strings.TrimSpace(strings.TrimLeft(trimmed, "#")) == heading
		}
	}
	if found.Len() == 0 {
		t.Fatalf("README has no %s below %q", language, heading)
	}
	return found.String()
}
