package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// bootModules are needed to see the host's files and to report.
var bootModules = []string{"virtio_pci", "virtiofs", "overlay", "virtio_console"}

// writeInitramfs writes the machine's first files.
func (k *kernel) writeInitramfs(path, scratch string) error {
	root := filepath.Join(scratch, "root")
	for name, content := range map[string][]byte{"init": guestInit, "start": guestStart} {
		if err := writeFile(filepath.Join(root, name), content); err != nil {
			return err
		}
	}
	program, err := k.busybox()
	if err != nil {
		return err
	}
	busybox, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(root, "bin/busybox"), busybox); err != nil {
		return err
	}
	if err := k.copyModules(filepath.Join(root, "modules")); err != nil {
		return err
	}
	pack := exec.Command("sh", "-c", `find . | cpio --quiet -o -H newc >"$0"`, path)
	pack.Dir, pack.Stderr = root, os.Stderr
	return pack.Run()
}

func writeFile(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, content, 0o755)
}

// copyModules copies the modules. The order of their names is the order of loading.
func (k *kernel) copyModules(folder string) error {
	list, err := output("modprobe", append([]string{
		"-d", k.root, "-S", k.release, "--show-depends", "-a",
	}, bootModules...)...)
	if err != nil {
		return err
	}
	number, seen := 100, map[string]bool{}
	for line := range strings.Lines(list) {
		path, isModule := strings.CutPrefix(strings.TrimSpace(line), "insmod ")
		if !isModule || seen[path] {
			continue // built in, or already copied for another
		}
		seen[path] = true
		number++
		module, err := decompressed(path)
		if err != nil {
			return err
		}
		if err := writeFile(filepath.Join(folder, fmt.Sprint(number)), module); err != nil {
			return err
		}
	}
	return nil
}

// decompressed returns a module in a form that busybox can load.
func decompressed(path string) ([]byte, error) {
	if strings.HasSuffix(path, ".xz") {
		text, err := output("xz", "-dc", path)
		return []byte(text), err
	}
	return os.ReadFile(path)
}
