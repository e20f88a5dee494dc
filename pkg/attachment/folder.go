package attachment

import (
	"path/filepath"

	"github.com/xdp-port/xdp-port/pkg/hook"
)

// Folder is the folder in bpffs with the links and the record of one attachment.
type Folder string

// path is where the link of a point is pinned.
func (folder Folder) path(point hook.Point) string {
	return filepath.Join(string(folder), string(point))
}
