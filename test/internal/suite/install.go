package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// install installs Debian packages without questions. It lets none of their services
// run, because the tests run nginx themselves.
func install(packages []string, out io.Writer) (err error) {
	fmt.Fprintf(out, "installing what tests need: %s\n", strings.Join(packages, " "))
	allow, err := forbidServices()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, allow()) }()
	args := append([]string{"install", "-y", "-qq", "--no-install-recommends"}, packages...)
	if err = apt(args...); err != nil { // the package lists may be missing or old
		if updated := apt("update", "-qq"); updated != nil {
			return updated
		}
		err = apt(args...)
	}
	if err == nil && slices.Contains(packages, "nginx-light") {
		_ = exec.Command("update-rc.d", "nginx", "disable").Run() // do not start it with the machine either
	}
	return err
}

func apt(args ...string) error {
	command := exec.Command("apt-get", args...)
	command.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	var said bytes.Buffer
	command.Stdout, command.Stderr = &said, &said
	err := command.Run()
	if text := strings.TrimSpace(said.String()); err != nil && text != "" {
		lines := strings.Split(text, "\n")
		return fmt.Errorf("apt-get %s: %w: %s", args[0], err, lines[len(lines)-1])
	}
	return err
}

// forbidServices stops new services from starting when they are installed, with
// Debian's switch for it. A machine with its own switch keeps it.
func forbidServices() (allow func() error, err error) {
	const policy = "/usr/sbin/policy-rc.d"
	file, err := os.OpenFile(policy, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if errors.Is(err, os.ErrExist) {
		return func() error { return nil }, nil
	}
	if err != nil {
		return nil, err
	}
	allow = func() error { return os.Remove(policy) }
	if _, err = file.WriteString("#!/bin/sh\nexit 101\n"); err == nil {
		err = file.Close()
	}
	if err != nil {
		return nil, errors.Join(err, allow())
	}
	return allow, nil
}
