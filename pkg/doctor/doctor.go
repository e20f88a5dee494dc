// Package doctor looks what of this machine xdp-port can use, and what stands
// in its way. It changes nothing.
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

// Status is how a check came out.
type Status string

// The outcomes of a check.
const (
	// Fine needs nothing to be done.
	Fine Status = "fine"
	// Warning works, but not as well as it could.
	Warning Status = "warning"
	// Wrong does not work.
	Wrong Status = "wrong"
	// Unknown could not be looked at, mostly for want of privileges.
	Unknown Status = "unknown"
)

// Finding is what one check found.
type Finding struct {
	Check  string `json:"check"`
	Status Status `json:"status"`
	// Detail says what is there.
	Detail string `json:"detail"`
	// Fix says what to do; empty where nothing is to be done.
	Fix string `json:"fix,omitempty"`
}

// Examine runs all checks.
func Examine() []Finding {
	if err := kernel.Privileged(); err != nil {
		return []Finding{
			kernelVersion(),
			{"privileges", Wrong, err.Error(), "run this as root, as the container runtime runs"},
			jit(), typeInformation(),
			{"the rest", Unknown, "cannot be looked at without privileges", ""},
		}
	}
	list, err := inspect.Attachments()
	findings := []Finding{
		kernelVersion(),
		{"privileges", Fine, "all that ADD takes", ""},
		programs(),
	}
	findings = append(findings, extras()...)
	findings = append(findings, autoMode(), jit(), typeInformation(), fileSystem(), attached(list, err))
	if err != nil { // what is ours would look foreign
		return append(findings, Finding{"the rest", Unknown, "cannot be looked at without knowing what is attached", ""})
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
		f.Status, f.Fix = Warning, "xdp-port is made for Linux 5.15 and later"
	}
	return f
}

func programs() Finding {
	if err := hook.Ready(hook.AutoHook); err != nil {
		return Finding{"programs", Wrong, err.Error(), "a kernel with CONFIG_BPF_SYSCALL, CONFIG_NET_CLS_BPF and Linux 5.15 or later"}
	}
	return Finding{"programs", Fine, "XDP, tc and the maps they need", ""}
}

// extras are features that there is a way around.
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

// autoMode says what mode auto is here.
func autoMode() Finding {
	f := Finding{"mode auto", Fine, "XDP generic; tc where a foreign XDP program is on the interface", ""}
	if datapath.AutoMode() == datapath.TC {
		f.Detail = "tc: on PREEMPT_RT packets can interleave between generic XDP and tc, so generic is refused"
	}
	return f
}

// jit looks at net/core/sysctl_net_core.c's bpf_jit_enable.
func jit() Finding {
	text, err := os.ReadFile("/proc/sys/net/core/bpf_jit_enable")
	switch value := strings.TrimSpace(string(text)); {
	case errors.Is(err, os.ErrNotExist):
		return Finding{"JIT", Unknown, "only the host's first network namespace tells", ""}
	case err != nil:
		return Finding{"JIT", Unknown, err.Error(), ""}
	case value == "0":
		return Finding{
			"JIT", Warning, "off: programs are interpreted, which costs several times as much",
			"sysctl -w net.core.bpf_jit_enable=1",
		}
	}
	return Finding{"JIT", Fine, "on", ""}
}

func typeInformation() Finding {
	if _, err := os.Stat("/sys/kernel/btf/vmlinux"); err != nil {
		return Finding{"BTF", Fine, "the kernel has none: a helper fixes up checksums, and mode native is refused", ""}
	}
	return Finding{"BTF", Fine, "there: programs read the kernel's packet buffer by it", ""}
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
			name, Warning, "not mounted at " + bpffs.MountPoint + "; ADD mounts it, in the mount namespace that it runs in",
			bpffs.MountCommand + ", before the container runtime starts",
		}
	case bpffs.IsOpen():
		return Finding{
			name, Warning, "mounted at " + bpffs.MountPoint + ", but open to all users: any of them can keep ADD from working",
			"chmod 0700 " + bpffs.MountPoint,
		}
	}
	return Finding{name, Fine, "mounted at " + bpffs.MountPoint, ""}
}

func attached(list []inspect.Attachment, err error) Finding {
	const name = "attachments"
	if errors.Is(err, bpffs.ErrUnusable) && bpffs.Ready() != nil { // which is reported
		return Finding{name, Unknown, "cannot be read without a BPF file system", ""}
	}
	if err != nil {
		fix := ""
		if errors.Is(err, bpffs.ErrBusy) {
			fix = "find out who holds the lock: fuser -v " + bpffs.Folder
		}
		return Finding{name, Wrong, err.Error(), fix}
	}
	var gone, sick int
	for i := range list {
		switch {
		case list[i].Gone:
			gone++
		case !list[i].Healthy:
			sick++
		}
	}
	detail := fmt.Sprintf("%d interfaces", len(list))
	switch {
	case sick > 0:
		return Finding{
			name, Wrong, fmt.Sprintf("%s, %d of them not as ADD left them", detail, sick),
			"xdp-portctl list says what is wrong; xdp-portctl apply puts links right, ADD again, or a restart of the container, the rest",
		}
	case gone > 0:
		return Finding{name, Warning, fmt.Sprintf("%s, of %d the device is gone", detail, gone), "xdp-portctl gc"}
	}
	return Finding{name, Fine, detail + ", all healthy", ""}
}
