package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// command runs a program, with its stderr on ours.
func command(name string, args ...string) error {
	_, err := output(name, args...)
	return err
}

func output(name string, args ...string) (string, error) { return outputIn("", name, args...) }

// outputIn runs a program in a folder and returns its stdout.
func outputIn(folder, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Stderr = folder, os.Stderr
	text, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return string(text), nil
}
