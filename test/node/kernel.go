package node

import (
	"bytes"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// NeedTCX skips the test on kernels without tcx.
func NeedTCX(t testing.TB) {
	t.Helper()
	if !HasTCX(t) {
		t.Skip("tcx needs Linux 6.6; make test-kernels KERNELS=newest")
	}
}

// NeedMode skips the test where the kernel has no exact data path in the mode.
func NeedMode(t testing.TB, mode string) {
	t.Helper()
	if reason := refusal(t, mode); reason != "" {
		t.Skip(reason)
	}
}

// HasMode reports whether the kernel has an exact data path in the mode.
func HasMode(t testing.TB, mode string) bool {
	t.Helper()
	return refusal(t, mode) == ""
}

// refusal returns why this kernel refuses a mode, or nothing.
func refusal(t testing.TB, mode string) string {
	t.Helper()
	switch {
	case mode == "generic" && IsRealTime(t):
		return "mode generic is refused on PREEMPT_RT"
	case mode == "native" && !hasNative(t):
		return "mode native needs Linux 6.3, with BTF; make test-kernels KERNELS=newest"
	}
	return ""
}

// hasNative reports whether XDP can read the skb of a packet on a veth.
func hasNative(t testing.TB) bool {
	t.Helper()
	has, err := kernelHas(6, 3)
	if err != nil {
		t.Fatal(err)
	}
	return has && ReadsSKB(t)
}

// modes are the modes that a veth can have.
var modes = []string{"native", "generic", "tc"}

// EachMode runs a test in each mode that a veth can have.
func EachMode(t *testing.T, test func(t *testing.T, mode string)) {
	t.Helper()
	EachOf(t, modes, test)
}

// EachOf runs a test in each of some modes.
func EachOf(t *testing.T, modes []string, test func(t *testing.T, mode string)) {
	t.Helper()
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			NeedMode(t, mode)
			test(t, mode)
		})
	}
}

// OtherMode returns a mode other than the given one.
func OtherMode(t testing.TB, than string) string {
	t.Helper()
	for _, mode := range modes {
		if mode != than && refusal(t, mode) == "" {
			return mode
		}
	}
	t.Skipf("no mode but %s", than)
	return ""
}

// AutoMode is the mode that auto chooses.
func AutoMode(t testing.TB) string {
	t.Helper()
	if IsRealTime(t) {
		return "tc"
	}
	return "generic"
}

// IsRealTime reports whether the kernel is built with PREEMPT_RT.
func IsRealTime(t testing.TB) bool {
	t.Helper()
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		t.Fatal(err)
	}
	return bytes.Contains(name.Version[:], []byte("PREEMPT_RT"))
}

// NeedBandwidth skips the test if xdp-port and the bandwidth plugin cannot be in one
// chain.
func NeedBandwidth(t testing.TB) {
	t.Helper()
	if !HasTCX(t) {
		t.Skip("tcx needs Linux 6.6, and the bandwidth plugin excludes clsact; make test-kernels KERNELS=newest")
	}
}

// HasTCX reports whether the kernel's version has tcx.
func HasTCX(t testing.TB) bool {
	t.Helper()
	has, err := kernelHas(6, 6)
	if err != nil {
		t.Fatal(err)
	}
	return has
}

// NeedTooOld skips the test on kernels that xdp-port supports.
func NeedTooOld(t testing.TB) {
	t.Helper()
	supported, err := kernelHas(5, 15)
	if err != nil {
		t.Fatal(err)
	}
	if supported {
		t.Skip("the kernel is not below the minimum, Linux 5.15")
	}
}

// ReadsSKB reports whether programs can read the kernel's struct sk_buff.
func ReadsSKB(t testing.TB) bool {
	t.Helper()
	has, err := kernelHas(6, 2)
	if err != nil {
		t.Fatal(err)
	}
	_, noBTF := os.Stat("/sys/kernel/btf/vmlinux")
	return has && noBTF == nil
}

// TCHook is the default hook for tc programs: "tcx", or "clsact" if the kernel has no
// tcx.
func TCHook(t testing.TB) string {
	t.Helper()
	if HasTCX(t) {
		return "tcx"
	}
	return "clsact"
}

// kernelHas reports whether the running kernel has at least this version. It compares
// numbers and does not probe, so tests find features that a probe misses.
func kernelHas(major, minor int) (bool, error) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return false, err
	}
	release := unix.ByteSliceToString(name.Release[:])
	var isMajor, isMinor int
	if _, err := fmt.Sscanf(release, "%d.%d", &isMajor, &isMinor); err != nil {
		return false, fmt.Errorf("read the kernel's release %s: %w", release, err)
	}
	return isMajor > major || isMajor == major && isMinor >= minor, nil
}
