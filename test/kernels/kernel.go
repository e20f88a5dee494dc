package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/sys/unix"
)

// kernel is one of Debian's, unpacked but not installed.
type kernel struct {
	release string // as uname(1) says it
	root    string // what its package has
}

// image and modules are files of the package.
func (k *kernel) image() string   { return filepath.Join(k.root, "boot/vmlinuz-"+k.release) }
func (k *kernel) modules() string { return filepath.Join(k.root, "lib/modules", k.release) }

// fetch downloads and unpacks the newest cloud kernel of a version, such as
// 6.1, unless it is in the folder.
func fetch(version, folder string) (*kernel, error) {
	packet, err := newest(version)
	if err != nil {
		return nil, err
	}
	k := &kernel{
		release: strings.TrimPrefix(packet, imagePrefix),
		root:    filepath.Join(folder, packet),
	}
	if _, err := os.Stat(filepath.Join(k.modules(), "modules.dep.bin")); err == nil {
		return k, nil
	}
	return k, errors.Join(unpack(packet, folder, k.root), command("depmod", "-b", k.root, k.release))
}

const imagePrefix = "linux-image-"

// newest asks apt for the name of the package.
func newest(version string) (string, error) {
	pattern := "^" + imagePrefix + regexp.QuoteMeta(version) + `[.][0-9].*-cloud-amd64$`
	list, err := output("sh", "-c", "apt-cache search --names-only '"+pattern+"' | cut -d' ' -f1 | sort -V")
	if err != nil {
		return "", err
	}
	names := strings.Fields(list)
	if len(names) == 0 {
		return "", errors.New("none in the repositories of this machine (apt-get update may help)")
	}
	return names[len(names)-1], nil
}

// unpack leaves nothing that is half there.
func unpack(packet, folder, root string) error {
	scratch, err := os.MkdirTemp(folder, "unpack-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	download := exec.Command("apt-get", "-o", "APT::Sandbox::User=root", "download", "-qq", packet)
	download.Dir, download.Stderr = scratch, os.Stderr
	if err := download.Run(); err != nil {
		return fmt.Errorf("download %s: %w", packet, err)
	}
	debs, _ := filepath.Glob(filepath.Join(scratch, "*.deb")) // the pattern is good
	if len(debs) != 1 {
		return fmt.Errorf("apt-get download %s left %d packages", packet, len(debs))
	}
	content := filepath.Join(scratch, "content")
	if err := command("dpkg-deb", "-x", debs[0], content); err != nil {
		return err
	}
	if err := os.RemoveAll(root); err != nil {
		return err
	}
	return os.Rename(content, root)
}

func runningRelease() string {
	var name unix.Utsname
	_ = unix.Uname(&name)
	return unix.ByteSliceToString(name.Release[:])
}
