package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// The first programs of the machine.
var (
	//go:embed guest/init
	guestInit []byte
	//go:embed guest/start
	guestStart []byte
)

// patience limits the life of a machine, for all packages together. An emulated processor is about
// ten times slower than a real one.
const patience = time.Hour

// hardware is the part of a machine that depends on the architecture.
var hardware = map[string]struct {
	emulator string
	machine  []string
	console  string
}{
	"amd64": {"qemu-system-x86_64", []string{"-cpu", "max"}, "ttyS0"},
	// The standard algorithm of pointer authentication is slow to emulate.
	"arm64": {"qemu-system-aarch64", []string{"-machine", "virt", "-cpu", "max,pauth-impdef=on"}, "ttyAMA0"},
}

// run boots the kernel and runs the tests. Their output goes to w. The machine has this one's files
// at the same paths: all of them, or only those of the tests if it cannot run this one's programs.
func (k *kernel) run(ctx context.Context, s *suite, w io.Writer) error {
	scratch, err := os.MkdirTemp("", "kernels-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	initramfs := filepath.Join(scratch, "initramfs")
	if err := k.writeInitramfs(initramfs, scratch); err != nil {
		return fmt.Errorf("make the initramfs: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	socket := filepath.Join(scratch, "files")
	stop, err := serveFiles(ctx, socket, filepath.Join(scratch, "files.log"))
	if err != nil {
		return err
	}
	defer stop()
	console := filepath.Join(scratch, "console")
	cmd := exec.CommandContext(ctx, hardware[k.arch].emulator, k.arguments(s, initramfs, socket, console)...)
	cmd.Stdout, cmd.Stderr = w, os.Stderr
	if err := cmd.Run(); err != nil {
		said, _ := os.ReadFile(console)
		return fmt.Errorf("%w: the console says:\n%s", errors.Join(err, ctx.Err()), said)
	}
	return nil
}

// arguments are qemu's arguments. The serial line is the console. The results have a port of their
// own.
func (k *kernel) arguments(s *suite, initramfs, socket, console string) []string {
	return append(slices.Clone(hardware[k.arch].machine),
		"-accel", "tcg,thread=multi", "-smp", "2", "-m", memory,
		"-nodefaults", "-nographic", "-no-reboot",
		"-serial", "file:"+console,
		"-chardev", "file,id=results,path=/dev/stdout", "-device", "virtio-serial-pci", "-device", "virtserialport,chardev=results,name=results",
		"-object", "memory-backend-memfd,id=memory,share=on,size="+memory, "-numa", "node,memdev=memory",
		"-chardev", "socket,id=files,path="+socket, "-device", "vhost-user-fs-pci,chardev=files,tag=host",
		"-kernel", k.image(), "-initrd", initramfs,
		"-append", "console="+hardware[k.arch].console+" panic=-1 loglevel=4 "+k.environment(s),
	)
}

const memory = "3G"

// environment goes to the first process through the kernel, which accepts 32 variables.
func (k *kernel) environment(s *suite) string {
	words := []string{"FILES=" + k.files, "MODULES=" + k.modules(), "SCRIPT=" + s.script}
	if k.files != "/" {
		words = append(words, "SHARED="+strings.Join(append(s.shared, k.root), ":"))
	}
	for _, variable := range os.Environ() {
		if variable == "CI=true" || strings.HasPrefix(variable, "XDP_PORT_") && !strings.HasPrefix(variable, "XDP_PORT_BIN=") {
			words = append(words, variable)
		}
	}
	return strings.Join(append(words, "XDP_PORT_BIN="+s.programs), " ")
}

// serveFiles serves this machine's files to the other machine.
func serveFiles(ctx context.Context, socket, log string) (stop func(), err error) {
	program, err := lookVirtiofsd()
	if err != nil {
		return nil, err
	}
	output, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer output.Close()
	server := exec.CommandContext(ctx, program, "--socket-path="+socket, "-o", "source=/", "-o", "cache=always", "-o", "sandbox=chroot")
	server.Stdout, server.Stderr = output, output
	if err := server.Start(); err != nil {
		return nil, err
	}
	stop = func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	}
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(socket); err == nil {
			return stop, nil
		}
	}
	stop()
	said, _ := os.ReadFile(log)
	return nil, fmt.Errorf("%s does not serve: %s", program, said)
}

// lookVirtiofsd finds the server where Debian 12 and later install it.
func lookVirtiofsd() (string, error) {
	for _, path := range []string{"/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd"} {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", errors.New("virtiofsd is missing: apt-get install qemu-system-common, or virtiofsd from Debian 13 on")
}
