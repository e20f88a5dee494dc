package install

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/containernetworking/cni/libcni"

	"github.com/xdp-port/xdp-port/pkg/confedit"
	"github.com/xdp-port/xdp-port/pkg/jsondoc"
)

// Runtime is the container runtime that chooses one of a node's networks.
type Runtime string

// The runtimes. If the first file is unusable, containerd has no network, and CRI-O uses the
// next file.
const (
	// AutoRuntime is the runtime with an existing socket. It is containerd if none or both
	// exist, as in a container.
	AutoRuntime Runtime = "auto"
	Containerd  Runtime = "containerd"
	CRIO        Runtime = "cri-o"
)

// Runtimes are all runtimes.
var Runtimes = []Runtime{AutoRuntime, Containerd, CRIO}

// The sockets with which kubelets connect to runtimes.
var (
	containerdSockets = []string{"/run/containerd/containerd.sock", "/run/k3s/containerd/containerd.sock"}
	crioSockets       = []string{"/run/crio/crio.sock"}
)

// choose returns the runtime, and whether that is only an assumption.
func (r Runtime) choose() (runtime Runtime, assumed bool) {
	if r != AutoRuntime && r != "" {
		return r, false
	}
	exists := func(path string) bool { _, err := os.Stat(path); return err == nil }
	isContainerd, isCRIO := slices.ContainsFunc(containerdSockets, exists), slices.ContainsFunc(crioSockets, exists)
	switch {
	case isContainerd == isCRIO:
		return Containerd, true
	case isCRIO:
		return CRIO, false
	}
	return Containerd, false
}

// podNetwork returns the file that a runtime uses for pods. files are sorted.
func (r Runtime) podNetwork(files []string) (string, error) {
	runtime, assumed := r.choose()
	why := usable(files[0])
	if why == nil {
		return files[0], nil
	}
	if runtime == CRIO && !isFresh(files[0]) {
		for _, file := range files[1:] {
			if usable(file) == nil {
				return file, nil
			}
		}
		return "", fmt.Errorf("%w, and CRI-O can use no other: %w", errUnusable, why)
	}
	advice := "repair or remove the file: containerd uses no other network"
	switch {
	case runtime == CRIO:
		advice = "it has just been written: run install again in a few seconds"
	case assumed:
		advice = "repair or remove the file, or use --runtime cri-o if the runtime is CRI-O, which uses the next file; containerd uses no other network"
	}
	return "", fmt.Errorf("%w: %w; %s", errUnusable, why, advice)
}

// isFresh reports whether a file was written just now, and may be half-written.
func isFresh(path string) bool {
	const fresh = 2 * time.Second
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && time.Since(info.ModTime()) < fresh
}

// usable returns an error if a runtime cannot use a file.
func usable(path string) error {
	text, _, err := readRegular(path)
	if err != nil {
		return err
	}
	if err := jsondoc.CheckObject(text); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if filepath.Ext(path) != ".conflist" {
		if _, err := libcni.NetworkPluginConfFromBytes(text); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		return nil
	}
	dropIns, err := ReadDropIns(path, text)
	if err != nil {
		return err
	}
	list, err := libcni.NetworkConfFromBytes(confedit.Inline(text, dropIns).Text)
	if err == nil && len(list.Plugins) == 0 {
		err = errors.New("it has no plugins")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
