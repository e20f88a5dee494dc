package kernel

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// capabilities are those that ADD takes, by number (include/uapi/linux/capability.h).
var capabilities = []struct {
	name   string
	number uint
	// covered says that CAP_SYS_ADMIN stands for it.
	covered bool
}{
	{"CAP_NET_ADMIN", unix.CAP_NET_ADMIN, false}, // devices and their qdiscs
	{"CAP_SYS_ADMIN", unix.CAP_SYS_ADMIN, false}, // setns into the container, mounting bpffs
	{"CAP_BPF", unix.CAP_BPF, true},
	{"CAP_PERFMON", unix.CAP_PERFMON, true},
}

// Privileged reports whether the process has the capabilities that ADD takes.
func Privileged() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return fmt.Errorf("read the capabilities of this process: %w", err)
	}
	has := func(number uint) bool { return sets[number/32].Effective&(1<<(number%32)) != 0 }
	var missing []string
	for _, c := range capabilities {
		covered := c.covered && has(unix.CAP_SYS_ADMIN)
		if !covered && !has(c.number) {
			missing = append(missing, c.name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("the process lacks %s: run the container runtime as root, with all capabilities",
			strings.Join(missing, ", "))
	}
	return nil
}
