package runtimes

import (
	"context"
	"debug/elf"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/xdp-port/xdp-port/test/internal/machine"
)

// The tests in this file use the output of make release; make test-release runs them. Tests of the quick start
// follow README word for word.

func TestReleaseDebian(t *testing.T) {
	m := newPodmanMachine(t)
	followRelease(t, m, "A release on Debian")
	wantVersion(t, m, "xdp-portctl", "version")
	wantPromised(t, follow(t, m, "podman"))
	wantNothing(t, m, nil)
	_, err := m.Run("dpkg", "--purge", "xdp-port")
	must(t, err)
	left, err := m.Run("find", "/opt/cni", "/usr", "/etc", "-name", "*xdp-port*", "-not", "-path", "/usr/src/*")
	must(t, err)
	if left != "" {
		t.Errorf("the package left behind: %s", left)
	}
}

func TestReleaseArchive(t *testing.T) {
	m := startContainerd(t, containerd1).m
	followRelease(t, m, "A release elsewhere")
	wantVersion(t, m, "/opt/xdp-port/xdp-portctl", "version")
	wantPromised(t, follow(t, m, "containerd"))
	wantNothing(t, m, nil)
}

// followRelease follows the steps from a folder with the release's files to a node with a server.
func followRelease(t *testing.T, m *machine.Machine, heading string) {
	t.Helper()
	run := func(folder, script string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), machine.Patience)
		defer cancel()
		_, err := m.RunIn(ctx, folder, "sh", "-ec", script)
		must(t, err)
	}
	// Plugins of a node that runs containers.
	run(binDir(t), "install -Dt /opt/cni/bin cni/*")
	run(releaseDir(t), guide(t, heading, "sh"))
	wantVersion(t, m, "/opt/cni/bin/xdp-port", "--version")
	run(binDir(t), "./echo serve 7998 &")
}

// version is the output of a binary of the release, after its name.
var version = regexp.MustCompile(`^xdp-port(ctl)? v[0-9.]+\S*, commit [0-9a-f]{40}, programs [0-9a-f]{12}, go1\S+\n$`)

func wantVersion(t *testing.T, m *machine.Machine, command ...string) {
	t.Helper()
	said, err := m.Run(command...)
	must(t, err)
	if !version.MatchString(said) || strings.Contains(said, "dirty") {
		t.Errorf("%v says %q", command, said)
	}
}

// TestReleaseArm64 runs the binaries for arm64 on an emulated processor without bpf(2).
func TestReleaseArm64(t *testing.T) {
	const emulator = "qemu-aarch64-static"
	need(t, emulator)
	folder := unpack(t, "arm64")
	for _, command := range [][]string{{"./xdp-port", "--version"}, {"./xdp-portctl", "version"}} {
		if said := run(t, folder, emulator, command...); !version.MatchString(said) {
			t.Errorf("%v says %q", command, said)
		}
	}

	plugin := exec.Command(emulator, "./xdp-port")
	plugin.Dir = folder
	plugin.Env = append(os.Environ(), "CNI_COMMAND=VERSION")
	plugin.Stdin = strings.NewReader(`{"cniVersion":"1.1.0"}`)
	answer, err := plugin.Output()
	must(t, err)
	var versions struct{ SupportedVersions []string }
	must(t, json.Unmarshal(answer, &versions))
	if got := strings.Join(versions.SupportedVersions, " "); got != "0.3.0 0.3.1 0.4.0 1.0.0 1.1.0" {
		t.Errorf("VERSION answers %s", answer)
	}
}

// TestReleasePackages expects the packages to contain the files of the archives.
func TestReleasePackages(t *testing.T) {
	for _, architecture := range architectures {
		folder, unpacked := unpack(t, architecture), t.TempDir()
		run(t, releaseDir(t), "sh", "-ec", "dpkg-deb -x xdp-port_*_"+architecture+".deb "+unpacked)
		run(t, folder, "cmp", "xdp-port", filepath.Join(unpacked, "opt/cni/bin/xdp-port"))
		run(t, folder, "cmp", "xdp-portctl", filepath.Join(unpacked, "usr/bin/xdp-portctl"))
		wantLinks(t, unpacked, "usr/share/doc/xdp-port")
	}
}

func TestReleaseLinks(t *testing.T) {
	for _, architecture := range architectures {
		wantLinks(t, unpack(t, architecture), "")
	}
}

var relativeLink = regexp.MustCompile(`]\(([^):#]+)[)#]`)

// wantLinks expects all files that README links to. README is in a folder below the future root.
func wantLinks(t *testing.T, below, folder string) {
	t.Helper()
	root, err := os.OpenRoot(below)
	must(t, err)
	defer root.Close()
	readme, err := root.ReadFile(filepath.Join(folder, "README.md"))
	must(t, err)
	links := relativeLink.FindAllSubmatch(readme, -1)
	if len(links) == 0 {
		t.Error("README has no links")
	}
	for _, link := range links {
		if _, err := root.Stat(filepath.Join(folder, string(link[1]))); err != nil {
			t.Errorf("README links to %s: %v", link[1], err)
		}
	}
}

func TestReleaseChecksums(t *testing.T) {
	run(t, releaseDir(t), "sha256sum", "--check", "--strict", "SHA256SUMS")
	listed, err := os.ReadFile(filepath.Join(releaseDir(t), "SHA256SUMS"))
	must(t, err)
	// For each architecture: an archive, a package, and a list for each binary.
	if count := strings.Count(string(listed), "\n"); count != 8 {
		t.Errorf("%d files have a checksum, want 8:\n%s", count, listed)
	}
	files, err := os.ReadDir(releaseDir(t))
	must(t, err)
	if len(files) != 9 {
		t.Errorf("%d files, and not all of them have a checksum", len(files))
	}
}

// TestReleaseLists compares the lists of each binary's components with go.mod.
func TestReleaseLists(t *testing.T) {
	lists, err := filepath.Glob(filepath.Join(releaseDir(t), "*.cdx.json"))
	must(t, err)
	if len(lists) != 4 {
		t.Errorf("lists of contents: %v", lists)
	}
	ebpf := strings.TrimSpace(run(t, repository(t), "go", "list", "-m", "-f", "{{.Version}}", "github.com/cilium/ebpf"))
	for _, list := range lists {
		if has := components(t, list)["github.com/cilium/ebpf"]; has != ebpf {
			t.Errorf("%s: has github.com/cilium/ebpf %q, want %s", filepath.Base(list), has, ebpf)
		}
	}
}

// TestReleaseBinaries expects binaries that need nothing of the system, and contain no path of their build.
func TestReleaseBinaries(t *testing.T) {
	for _, architecture := range architectures {
		folder := unpack(t, architecture)
		wantStatic(t, filepath.Join(folder, "xdp-port"))
		wantStatic(t, filepath.Join(folder, "xdp-portctl"))
	}
}

// components are the modules in a CycloneDX list, with their versions.
func components(t *testing.T, list string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(list)
	must(t, err)
	var document struct {
		Components []struct{ Name, Version string }
	}
	must(t, json.Unmarshal(text, &document))
	found := map[string]string{}
	for _, c := range document.Components {
		found[c.Name] = c.Version
	}
	return found
}

func wantStatic(t *testing.T, path string) {
	t.Helper()
	binary, err := elf.Open(path)
	must(t, err)
	defer binary.Close()
	for _, p := range binary.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("%s is linked dynamically", path)
		}
	}
	content, err := os.ReadFile(path)
	must(t, err)
	home, err := os.UserHomeDir()
	must(t, err)
	for _, folder := range []string{repository(t), filepath.Join(home, "go/pkg/mod")} {
		if strings.Contains(string(content), folder+"/") {
			t.Errorf("%s names %s", path, folder)
		}
	}
}

var architectures = []string{"amd64", "arm64"}

// unpack unpacks an archive into a new folder.
func unpack(t *testing.T, architecture string) (folder string) {
	t.Helper()
	folder = t.TempDir()
	run(t, releaseDir(t), "sh", "-ec", "tar -xf xdp-port-*-linux-"+architecture+".tar.gz --strip-components 1 -C "+folder)
	return folder
}

func releaseDir(t *testing.T) string {
	t.Helper()
	return filepath.Join(binDir(t), "release")
}

func run(t *testing.T, folder, program string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir = folder
	said, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v: %s", cmd.Args, err, said)
	}
	return string(said)
}
