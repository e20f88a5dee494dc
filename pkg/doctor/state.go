package doctor

import (
	"errors"
	"fmt"

	"github.com/xdp-port/xdp-port/pkg/bpffs"
	"github.com/xdp-port/xdp-port/pkg/inspect"
)

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
