package node

import (
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

// NeedBandwidth skips the test where xdp-port cannot be in a chain with the
// bandwidth plugin.
func NeedBandwidth(t testing.TB) {
	t.Helper()
	if !HasTCX(t) {
		t.Skip("tcx needs Linux 6.6, and the bandwidth plugin excludes clsact; make test-kernels KERNELS=newest")
	}
}

// HasTCX tells whether the kernel is to have tcx.
func HasTCX(t testing.TB) bool {
	t.Helper()
	has, err := kernelHas(6, 6)
	if err != nil {
		t.Fatal(err)
	}
	return has
}

// NeedTooOld skips the test on kernels that xdp-port is made for.
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

// ReadsSKB tells whether programs can read the kernel's struct sk_buff.
func ReadsSKB(t testing.TB) bool {
	t.Helper()
	has, err := kernelHas(6, 2)
	if err != nil {
		t.Fatal(err)
	}
	_, noBTF := os.Stat("/sys/kernel/btf/vmlinux")
	return has && noBTF == nil
}

// TCHook is what xdp-port attaches tc programs by where the configuration does
// not say: "tcx", or "clsact" where the kernel has no tcx.
func TCHook(t testing.TB) string {
	t.Helper()
	if HasTCX(t) {
		return "tcx"
	}
	return "clsact"
}

// kernelHas tells whether the running kernel is of a version or a later one. It
// goes by the number, so that a test finds what a probe would hide.
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
