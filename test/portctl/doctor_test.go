//go:build linux && amd64

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
	"github.com/xdp-port/xdp-port/test/node"
	"github.com/xdp-port/xdp-port/test/pace"
	"github.com/xdp-port/xdp-port/test/ptrace"
)

// TestDoctorKnowsKernel wants what the running kernel lacks named, with the way
// around it and the kernel that has it.
func TestDoctorKnowsKernel(t *testing.T) {
	out := portctl(t, newNode(t), "doctor", "-o", "json")
	findings := decodeList[doctor.Finding](t, out.stdout, "findings")
	wantFinding(t, findings, "programs", doctor.Fine)
	wantFinding(t, findings, "xdp.frags", doctor.Fine)
	if node.HasTCX(t) {
		wantFinding(t, findings, "tcx", doctor.Fine)
	} else {
		wantFinding(t, findings, "tcx", doctor.Warning, "clsact", "Linux 6.6")
	}
}

// TestDoctorOnOldKernel has the kernel refuse what older ones do not know.
func TestDoctorOnOldKernel(t *testing.T) {
	tool := command(t, "doctor", "-o", "json")
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
			if !strings.Contains(f.Detail+f.Mend, part) {
				t.Errorf("%s lacks %q: %+v", check, part, f)
			}
		}
		return
	}
	t.Errorf("nothing is said of %s: %+v", check, findings)
}
