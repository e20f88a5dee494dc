// Package doctor checks what of this machine xdp-port can use, and what prevents it. It
// changes nothing.
package doctor

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/bpffs"
	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/hook"
	"github.com/xdp-port/xdp-port/pkg/inspect"
	"github.com/xdp-port/xdp-port/pkg/kernel"
)

// Status is the result of a check.
type Status string

// The results of checks.
const (
	// Fine needs no action.
	Fine Status = "fine"
	// Warning works, but not as well as it could.
	Warning Status = "warning"
	// Wrong does not work.
	Wrong Status = "wrong"
	// Unknown could not be checked, mostly because privileges are missing.
	Unknown Status = "unknown"
)

// Finding is the result of one check, with details.
type Finding struct {
	Check  string `json:"check"`
	Status Status `json:"status"`
	// Detail says what was found.
	Detail string `json:"detail"`
	// Fix says what to do; empty if there is nothing to do.
	Fix string `json:"fix,omitempty"`
}

// Examine runs all checks.
func Examine() []Finding {
	if err := kernel.Privileged(); err != nil {
		return []Finding{
			kernelVersion(),
			{"privileges", Wrong, err.Error(), "run this as root, as the container runtime runs"},
			jit(), typeInformation(),
			{"the rest", Unknown, "cannot be checked without privileges", ""},
		}
	}
	list, err := inspect.Attachments()
	findings := []Finding{
		kernelVersion(),
		{"privileges", Fine, "all that ADD needs", ""},
		programs(),
	}
	findings = append(findings, extras()...)
	findings = append(findings, autoMode(), jit(), typeInformation(), fileSystem(), attached(list, err))
	if err != nil { // our own programs would look foreign
		return append(findings, Finding{"the rest", Unknown, "cannot be checked without knowing what is attached", ""})
	}
	return append(findings, devices(list)...)
}

func kernelVersion() Finding {
	f := Finding{Check: "kernel", Status: Fine}
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return Finding{f.Check, Unknown, err.Error(), ""}
	}
	f.Detail = unix.ByteSliceToString(name.Sysname[:]) + " " + unix.ByteSliceToString(name.Release[:])
	var major, minor int
	if _, err := fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &major, &minor); err != nil {
		f.Status = Unknown
		return f
	}
	const oldest = 5*1000 + 15
	if major*1000+minor < oldest {
		f.Status, f.Fix = Warning, "xdp-port needs Linux 5.15 or later"
	}
	return f
}

func programs() Finding {
	if err := hook.Ready(hook.AutoHook); err != nil {
		return Finding{"programs", Wrong, err.Error(), "use Linux 5.15 or later with CONFIG_BPF_SYSCALL and CONFIG_NET_CLS_BPF"}
	}
	return Finding{"programs", Fine, "XDP, tc and the maps they need", ""}
}

// extras checks features that xdp-port can do without.
func extras() (findings []Finding) {
	for _, feature := range datapath.Features() {
		if feature.Otherwise == "" {
			continue
		}
		f := Finding{feature.Name, Fine, "in this kernel", ""}
		if err := feature.Check(); errors.Is(err, ebpf.ErrNotSupported) {
			f = Finding{feature.Name, Warning, "not in this kernel: " + feature.Otherwise, "Linux " + feature.Since + " has it"}
		} else if err != nil {
			f = Finding{feature.Name, Unknown, err.Error(), ""}
		}
		findings = append(findings, f)
	}
	return findings
}

// autoMode says which mode auto chooses on this kernel.
func autoMode() Finding {
	f := Finding{"mode auto", Fine, "XDP generic; tc where a foreign XDP program is on the interface", ""}
	if datapath.AutoMode() == datapath.TC {
		f.Detail = "tc: on PREEMPT_RT packets can interleave between generic XDP and tc, so generic is refused"
	}
	return f
}

// jit checks bpf_jit_enable of net/core/sysctl_net_core.c.
func jit() Finding {
	text, err := os.ReadFile("/proc/sys/net/core/bpf_jit_enable")
	switch value := strings.TrimSpace(string(text)); {
	case errors.Is(err, os.ErrNotExist):
		return Finding{"JIT", Unknown, "can only be read in the host's network namespace", ""}
	case err != nil:
		return Finding{"JIT", Unknown, err.Error(), ""}
	case value == "0":
		return Finding{
			"JIT", Warning, "off: programs are interpreted, which takes several times as long",
			"sysctl -w net.core.bpf_jit_enable=1",
		}
	}
	return Finding{"JIT", Fine, "on", ""}
}

func typeInformation() Finding {
	if _, err := os.Stat("/sys/kernel/btf/vmlinux"); err != nil {
		return Finding{"BTF", Fine, "missing in this kernel: a helper fixes up checksums, and mode native is refused", ""}
	}
	return Finding{"BTF", Fine, "available: programs use it to read the kernel's packet buffer", ""}
}

func fileSystem() Finding {
	const name = "BPF file system"
	err := bpffs.Ready()
	var unusable *bpffs.UnusableError
	switch {
	case errors.As(err, &unusable):
		return Finding{name, Wrong, unusable.Problem, unusable.Fix}
	case err != nil:
		return Finding{name, Wrong, err.Error(), bpffs.MountCommand}
	case !bpffs.IsMounted():
		return Finding{
			name, Warning, "not mounted at " + bpffs.MountPoint + "; ADD mounts it in its own mount namespace",
			bpffs.MountCommand + ", before the container runtime starts",
		}
	case bpffs.IsOpen():
		return Finding{
			name, Warning, "mounted at " + bpffs.MountPoint + ", but open to all users: any of them can block ADD",
			"chmod 0700 " + bpffs.MountPoint,
		}
	}
	return Finding{name, Fine, "mounted at " + bpffs.MountPoint, ""}
}

func attached(list []inspect.Attachment, err error) Finding {
	const name = "attachments"
	if errors.Is(err, bpffs.ErrUnusable) && bpffs.Ready() != nil { // reported by bpffs
		return Finding{name, Unknown, "cannot be read without a BPF file system", ""}
	}
	if err != nil {
		fix := ""
		if errors.Is(err, bpffs.ErrBusy) {
			fix = "find the process that holds the lock: fuser -v " + bpffs.Folder
		}
		return Finding{name, Wrong, err.Error(), fix}
	}
	var gone, damaged int
	for i := range list {
		switch {
		case list[i].Gone:
			gone++
		case !list[i].Healthy:
			damaged++
		}
	}
	detail := fmt.Sprintf("%d interfaces", len(list))
	switch {
	case damaged > 0:
		return Finding{
			name, Wrong, fmt.Sprintf("%s, %d of them damaged", detail, damaged),
			"xdp-portctl list shows the problems; xdp-portctl apply repairs links, a restart of the container repairs the rest",
		}
	case gone > 0:
		return Finding{name, Warning, fmt.Sprintf("%s, %d of them without their device", detail, gone), "xdp-portctl gc"}
	}
	return Finding{name, Fine, detail + ", all healthy", ""}
}
