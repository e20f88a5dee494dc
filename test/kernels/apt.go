package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// apt is a separate package manager for one suite and architecture of Debian. It does not change
// this machine's apt.
type apt struct {
	folder string
	arch   string
}

// openApt prepares the lists of a suite below the cache folder.
//
// It uses the mirror of this machine's sources. apt verifies the lists, and thereby the packages,
// with Debian's keys.
func openApt(cache, suite, arch string) (*apt, error) {
	a := &apt{folder: filepath.Join(cache, "apt", suite+"-"+arch), arch: arch}
	for _, folder := range []string{"lists/partial", "archives/partial"} {
		if err := os.MkdirAll(filepath.Join(a.folder, folder), 0o755); err != nil {
			return nil, err
		}
	}
	if a.isFresh() {
		return a, nil
	}
	mirror, err := debianMirror()
	if err != nil {
		return nil, err
	}
	source := fmt.Sprintf("deb [arch=%s signed-by=%s] %s %s main\n", arch, keyring, mirror, suite)
	if err := os.WriteFile(a.sources(), []byte(source), 0o644); err != nil {
		return nil, err
	}
	if _, err := a.get("update", "--error-on=any", "-qq"); err != nil {
		return nil, fmt.Errorf("update the lists of %s: %w", suite, err)
	}
	return a, os.WriteFile(a.stamp(), nil, 0o644)
}

const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

func (a *apt) sources() string { return filepath.Join(a.folder, "sources.list") }
func (a *apt) stamp() string   { return filepath.Join(a.folder, "updated") }

// isFresh reports whether the lists are less than a day old.
func (a *apt) isFresh() bool {
	info, err := os.Stat(a.stamp())
	return err == nil && time.Since(info.ModTime()) < 24*time.Hour
}

// debianMirror is the first Debian mirror in this machine's sources.
func debianMirror() (string, error) {
	list, err := output("apt-get", "indextargets", "--format", "$(LABEL) $(REPO_URI)", "Created-By: Packages")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(list) {
		if address, ok := strings.CutPrefix(strings.TrimSpace(line), "Debian "); ok {
			return address, nil
		}
	}
	return "", errors.New("apt knows no mirror of Debian: run apt-get update on a Debian machine")
}

func (a *apt) get(args ...string) (string, error)   { return output("apt-get", a.options(args)...) }
func (a *apt) cache(args ...string) (string, error) { return output("apt-cache", a.options(args)...) }

func (a *apt) options(args []string) []string {
	return append([]string{
		"-oAPT::Architecture=" + a.arch,
		"-oAPT::Architectures=" + a.arch,
		"-oAPT::Sandbox::User=root",
		"-oAcquire::Languages=none",
		"-oAcquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
		"-oAcquire::IndexTargets::deb::DEP-11-icons-small::DefaultEnabled=false",
		"-oAcquire::IndexTargets::deb::DEP-11-icons::DefaultEnabled=false",
		"-oAcquire::IndexTargets::deb::CNF::DefaultEnabled=false",
		"-oDir::Etc::SourceList=" + a.sources(),
		"-oDir::Etc::SourceParts=/dev/null",
		"-oDir::State::Lists=" + filepath.Join(a.folder, "lists"),
		"-oDir::State::status=/dev/null",
		"-oDir::Cache=" + a.folder,
		"-qq",
	}, args...)
}

// dependencies lists a package and all its dependencies.
func (a *apt) dependencies(name string) ([]string, error) {
	list, err := a.cache("depends", "--recurse", "--important", name)
	if err != nil {
		return nil, err
	}
	var names []string
	for line := range strings.Lines(list) {
		if !strings.HasPrefix(line, " ") && !strings.HasPrefix(line, "<") {
			names = append(names, strings.TrimSpace(line))
		}
	}
	return names, nil
}

// unpack downloads packages and unpacks them into a new folder.
func (a *apt) unpack(names []string, folder string) error {
	return unpackInto(folder, func(scratch string) error {
		_, err := outputIn(scratch, "apt-get", a.options(append([]string{"download"}, names...))...)
		return err
	})
}

// unpackAll unpacks packages and all their dependencies.
//
// The packages' scripts do not run. The guest's start script does their work.
func (a *apt) unpackAll(names []string, folder string) error {
	return unpackInto(folder, func(scratch string) error {
		if err := os.Mkdir(filepath.Join(scratch, "partial"), 0o755); err != nil {
			return err
		}
		_, err := a.get(append([]string{
			"-oDir::Cache::archives=" + scratch,
			"--yes", "--no-install-recommends", "--download-only", "install",
		}, names...)...)
		return err
	})
}

// unpackInto unpacks the packages that download puts into a folder. If it fails, it leaves nothing.
func unpackInto(folder string, download func(scratch string) error) error {
	if err := os.MkdirAll(filepath.Dir(folder), 0o755); err != nil {
		return err
	}
	scratch, err := os.MkdirTemp(filepath.Dir(folder), ".unpack-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	if err := download(scratch); err != nil {
		return err
	}
	packages, _ := filepath.Glob(filepath.Join(scratch, "*.deb")) // the pattern is valid
	content := filepath.Join(scratch, "content")
	for _, file := range packages {
		if err := command("dpkg-deb", "-x", file, content); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(folder); err != nil {
		return err
	}
	return os.Rename(content, folder)
}
