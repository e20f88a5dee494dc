package install

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/containernetworking/cni/libcni"

	"github.com/xdp-port/xdp-port/pkg/config"
)

// Runtime is the container runtime that chooses among a node's networks.
type Runtime string

// The runtimes. They differ in what they make of a file that they cannot use, if
// it is the first: containerd then has no network, CRI-O takes the next one.
const (
	// AutoRuntime is the one whose socket is there; containerd if that does not
	// tell, as in a container.
	AutoRuntime Runtime = "auto"
	Containerd  Runtime = "containerd"
	CRIO        Runtime = "cri-o"
)

// Runtimes are all of them.
var Runtimes = []Runtime{AutoRuntime, Containerd, CRIO}

// The sockets by which kubelets speak to runtimes.
var (
	containerdSockets = []string{"/run/containerd/containerd.sock", "/run/k3s/containerd/containerd.sock"}
	crioSockets       = []string{"/run/crio/crio.sock"}
)

// choose returns the runtime, and whether it is assumed only.
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

// podNetwork returns the file of the network that a runtime takes for pods, of
// those in a folder, in the order of their names.
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
		return "", fmt.Errorf("%w, nor any other by CRI-O: %w", errUnusable, why)
	}
	advice := "repair or remove it: containerd uses no other network then"
	switch {
	case runtime == CRIO:
		advice = "it was written just now; run install again in a few seconds"
	case assumed:
		advice = "repair or remove it. containerd is assumed, which then uses no other network; with CRI-O, which takes the next one, say --runtime cri-o"
	}
	return "", fmt.Errorf("%w: %w; %s", errUnusable, why, advice)
}

// isFresh tells whether a file was written just now, and may be half there.
func isFresh(path string) bool {
	const fresh = 2 * time.Second
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && time.Since(info.ModTime()) < fresh
}

// errUnusable is returned where no runtime can use what is there.
var errUnusable = errors.New("the first configuration cannot be used")

// usable returns why a runtime cannot use a file; nil if it can.
func usable(path string) error {
	text, _, err := readRegular(path)
	if err != nil {
		return err
	}
	if err := config.CheckSyntax(text); err != nil {
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
	list, err := libcni.NetworkConfFromBytes(config.Inline(text, dropIns).Text)
	if err == nil && len(list.Plugins) == 0 {
		err = errors.New("it has no plugins")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
