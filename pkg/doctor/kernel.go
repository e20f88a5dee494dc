package doctor

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/hook"
)

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
