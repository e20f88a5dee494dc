// Image makes a container image of static programs, as an OCI archive:
//
//	image NAME ARCHIVE PROGRAM...
//
// The first program is the entrypoint. Loading an archive needs no registry.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if len(os.Args) < 4 {
		fmt.Fprintln(os.Stderr, "usage: image NAME ARCHIVE PROGRAM...")
		os.Exit(2)
	}
	if err := write(os.Args[1], os.Args[2], os.Args[3:]); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

// write replaces the archive with a rename, so that it is never incomplete.
func write(name, archive string, programs []string) error {
	var files []file
	for _, program := range programs {
		content, err := os.ReadFile(program)
		if err != nil {
			return err
		}
		files = append(files, file{filepath.Base(program), 0o755, content})
	}
	image, err := build(name, files)
	if err != nil {
		return err
	}
	if err := os.WriteFile(archive+".new", image, 0o644); err != nil {
		return err
	}
	return os.Rename(archive+".new", archive)
}
