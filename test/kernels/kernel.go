package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// kernel is a Debian kernel, unpacked but not installed.
type kernel struct {
	version
	release string // as in uname(1)
	root    string // the files of its packages
	files   string // the programs of the machine
}

func (k *kernel) identity() identity { return identity{k.name, k.release, k.arch} }

// modules is the folder of the kernel's modules.
func (k *kernel) modules() string { return filepath.Join(k.root, "lib/modules", k.release) }

// image is in /boot, or next to the modules in packages of 2026 and later.
func (k *kernel) image() string {
	image := filepath.Join(k.root, "boot/vmlinuz-"+k.release)
	if _, err := os.Stat(image); err != nil {
		return filepath.Join(k.modules(), "vmlinuz")
	}
	return image
}

// fetch downloads and unpacks the newest kernel of a version, unless the cache has it.
func fetch(v version, cache string) (*kernel, error) {
	unlock, err := lock(cache)
	if err != nil {
		return nil, err
	}
	defer unlock()
	apt, err := openApt(cache, v.suite, v.arch)
	if err != nil {
		return nil, err
	}
	packages, release, err := v.packages(apt)
	if err != nil {
		return nil, err
	}
	files, err := rootOf(v.arch, cache)
	if err != nil {
		return nil, err
	}
	k := &kernel{version: v, release: release, root: filepath.Join(cache, release), files: files}
	if _, err := os.Stat(filepath.Join(k.modules(), "modules.dep.bin")); err == nil {
		return k, nil
	}
	if err := apt.unpack(packages, k.root); err != nil {
		return nil, err
	}
	return k, k.index()
}

// packages returns the packages that contain the image, and their release.
//
// Until trixie there is one. Since then the image depends on packages for the binary, the modules
// and the built-in ones.
func (v version) packages(a *apt) (names []string, release string, err error) {
	dependencies, err := a.dependencies(v.metapackage())
	if err != nil {
		return nil, "", err
	}
	for _, name := range dependencies {
		if found, ok := strings.CutPrefix(name, imagePrefix); ok && found[0] >= '0' && found[0] <= '9' {
			release = found
		}
	}
	if release == "" {
		return nil, "", fmt.Errorf("%s of %s depends on no image", v.metapackage(), v.suite)
	}
	for _, name := range dependencies {
		if strings.HasSuffix(name, "-"+release) && !strings.Contains(name, "unsigned") {
			names = append(names, name)
		}
	}
	return names, release, nil
}

// index makes depmod find the modules in their folder.
func (k *kernel) index() error {
	lib := filepath.Join(k.root, "lib")
	if _, err := os.Lstat(lib); err != nil {
		if err := os.Symlink("usr/lib", lib); err != nil {
			return err
		}
	}
	return command("depmod", "-b", k.root, k.release)
}

// lock keeps other processes away from the cache.
func lock(cache string) (unlock func(), err error) {
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(cache, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("lock %s: %w", cache, err)
	}
	return func() { _ = file.Close() }, nil
}

func runningRelease() string {
	var name unix.Utsname
	_ = unix.Uname(&name)
	return unix.ByteSliceToString(name.Release[:])
}
