// Image makes a container image of one static program, as an OCI archive:
//
//	image PROGRAM NAME ARCHIVE
//
// There is no registry where the tests run, and none is needed to try the
// plugin.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: image PROGRAM NAME ARCHIVE")
		os.Exit(2)
	}
	if err := write(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

// write writes the archive in one go, so that nobody finds half of it.
func write(program, name, archive string) error {
	content, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	image, err := build(filepath.Base(program), content, name)
	if err != nil {
		return err
	}
	if err := os.WriteFile(archive+".new", image, 0o644); err != nil {
		return err
	}
	return os.Rename(archive+".new", archive)
}
