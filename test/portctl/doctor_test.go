//go:build linux && (amd64 || arm64)

package portctl

import (
	"bytes"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/doctor"
	"github.com/xdp-port/xdp-port/test/internal/ptrace"
	"github.com/xdp-port/xdp-port/test/node"
	"github.com/xdp-port/xdp-port/test/pace"
)

// TestDoctorKnowsKernel expects doctor to name each missing feature, the workaround and the
// kernel that has it.
func TestDoctorKnowsKernel(t *testing.T) {
	out := portctl(t, node.ForTest(t), "doctor", "-o", "json")
	findings := decodeList[doctor.Finding](t, out.stdout, "findings")
	wantFinding(t, findings, "programs", doctor.Fine)
	wantFinding(t, findings, "xdp.frags", doctor.Fine)
	if node.HasTCX(t) {
		wantFinding(t, findings, "tcx", doctor.Fine)
	} else {
		wantFinding(t, findings, "tcx", doctor.Warning, "clsact", "Linux 6.6")
	}
}

// TestDoctorOnOldKernel makes the kernel refuse what older kernels do not know.
func TestDoctorOnOldKernel(t *testing.T) {
	tool := node.ToolCommand(t, "doctor", "-o", "json")
	var stdout bytes.Buffer
	tool.Stdout = &stdout
	err := ptrace.Run(tool, pace.Patience(time.Minute), func(c ptrace.Call) ptrace.Verdict {
		if c.Loads(ebpf.XDP) {
			return ptrace.Fail(unix.EINVAL)
		}
		return ptrace.Proceed
	})
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("doctor ended with %v, want exit status 1", err)
	}
	findings := decodeList[doctor.Finding](t, stdout.String(), "findings")
	wantFinding(t, findings, "programs", doctor.Wrong, "Linux 5.12", "Linux 5.15")
	wantFinding(t, findings, "xdp.frags", doctor.Warning, "MTU", "Linux 5.18")
}

// TestDoctorBelowMinimum needs a kernel that is too old.
func TestDoctorBelowMinimum(t *testing.T) {
	node.NeedTooOld(t)
	out := portctl(t, node.ForTest(t), "doctor", "-o", "json")
	findings := decodeList[doctor.Finding](t, out.stdout, "findings")
	wantFinding(t, findings, "kernel", doctor.Warning, "Linux 5.15")
	wantFinding(t, findings, "programs", doctor.Wrong, "Linux 5.12", "Linux 5.15")
}

func wantFinding(t *testing.T, findings []doctor.Finding, check string, status doctor.Status, parts ...string) {
	t.Helper()
	for _, f := range findings {
		if f.Check != check {
			continue
		}
		if f.Status != status {
			t.Errorf("%s is %s, want %s: %+v", check, f.Status, status, f)
		}
		for _, part := range parts {
			if !strings.Contains(f.Detail+f.Fix, part) {
				t.Errorf("%s lacks %q: %+v", check, part, f)
			}
		}
		return
	}
	t.Errorf("nothing is said of %s: %+v", check, findings)
}

// TestDoctorKnowsBPFFS expects doctor to name what blocks ADD, and the command that helps.
func TestDoctorKnowsBPFFS(t *testing.T) {
	n := node.ForTest(t)
	const check = "BPF file system"
	for name, tt := range map[string]struct {
		mount  string
		code   int
		status doctor.Status
		parts  []string
	}{
		"private": {"mount -t bpf -o mode=0700 bpf /sys/fs/bpf", 0, doctor.Fine, nil},
		"open":    {"mount -t bpf bpf /sys/fs/bpf", 0, doctor.Warning, []string{"chmod 0700 /sys/fs/bpf"}},
		"foreign": {
			"mount -t bpf bpf /sys/fs/bpf && mkdir -p /sys/fs/bpf/xdp-port/x && chown 1000 /sys/fs/bpf/xdp-port", 1, doctor.Wrong,
			[]string{"user 1000", "rm -r /sys/fs/bpf/xdp-port", "chmod 0700 /sys/fs/bpf"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			out := behindMount(t, n, tt.mount, "doctor", "-o", "json")
			wantFinding(t, decodeList[doctor.Finding](t, out.want(t, tt.code), "findings"), check, tt.status, tt.parts...)
		})
	}
	must(t, n.Conflist(conflist("lab", rewriteTo(7998))))
	attach(t, n)
	out := behindMount(t, n, "mount -t bpf bpf /sys/fs/bpf", "doctor", "-o", "json")
	wantFinding(t, decodeList[doctor.Finding](t, out.want(t, 1), "findings"), check, doctor.Wrong, "umount /sys/fs/bpf")
}
