package node

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

// NeedKernel skips the test on kernels older than a version, which are the
// first to have what is named.
func NeedKernel(t testing.TB, major, minor int, feature string) {
	t.Helper()
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		t.Fatal(err)
	}
	release := unix.ByteSliceToString(name.Release[:])
	var isMajor, isMinor int
	if _, err := fmt.Sscanf(release, "%d.%d", &isMajor, &isMinor); err != nil {
		t.Fatalf("the kernel's release is %s: %v", release, err)
	}
	if isMajor < major || isMajor == major && isMinor < minor {
		t.Skipf("%s needs Linux %d.%d", feature, major, minor)
	}
}

// NeedTCX skips the test on kernels without tcx.
func NeedTCX(t testing.TB) {
	t.Helper()
	NeedKernel(t, 6, 6, "tcx")
}
