package inspect

import (
	"errors"
	"os"

	"github.com/xdp-port/xdp-port/pkg/attachment"
	"github.com/xdp-port/xdp-port/pkg/bpffs"
	"github.com/xdp-port/xdp-port/pkg/state"
	"github.com/xdp-port/xdp-port/pkg/veth"
)

// Attachments reads all attachments, sorted by network, container and interface. It returns
// none, and no error, if there is no state.
//
// It does not delay ADD and DEL: it holds the lock of the state only while it lists folders,
// and while it reads an attachment again that seems damaged, which may be in the middle of a
// change.
//
// Returns an error wrapping bpffs.ErrUnusable if no BPF file system is visible,
// os.ErrPermission if the caller may not read it, bpffs.ErrBusy if another process held the
// lock for too long.
func Attachments() ([]Attachment, error) {
	netns, err := veth.OwnNetNS()
	if err != nil {
		return nil, err
	}
	known := map[attachment.Folder]Attachment{} // by folder
	for round := 1; ; round++ {
		listed, err := state.Snapshot()
		if errors.Is(err, os.ErrNotExist) {
			return nil, bpffs.Visible()
		}
		if err != nil {
			return nil, err
		}
		list, missed, err := readListed(listed, known, netns)
		if err != nil {
			return nil, err
		}
		// An attachment that has moved is in the next list.
		if !missed || round == mostRounds {
			markDuplicates(list)
			return list, nil
		}
	}
}

// mostRounds limits how often attachments are listed again because one moved.
const mostRounds = 5

// readListed reads attachments that are not known yet. It reports whether it missed one that
// was removed, or moved to another ruleset.
func readListed(listed []state.Listed, known map[attachment.Folder]Attachment, netns veth.NetNS) (list []Attachment, missed bool, err error) {
	l := newLoader(netns)
	defer l.close()
	for i := range listed {
		a, isKnown := known[listed[i].Folder]
		if !isKnown {
			exists := false
			if a, exists, err = l.read(&listed[i]); err != nil {
				return nil, false, err
			}
			if !exists {
				missed = true
				continue
			}
			known[listed[i].Folder] = a
		}
		list = append(list, a)
	}
	return list, missed, nil
}

// markDuplicates finds interfaces that are attached under two rulesets. Only an interrupted
// change leaves that.
func markDuplicates(list []Attachment) {
	for i := range list {
		same := func(other Attachment) bool {
			return other.Network == list[i].Network && other.Container == list[i].Container &&
				other.Interface == list[i].Interface && other.Ruleset != list[i].Ruleset
		}
		if i > 0 && same(list[i-1]) || i+1 < len(list) && same(list[i+1]) {
			list[i].Problems = append(list[i].Problems, "also attached under another ruleset")
			list[i].Healthy = false
		}
	}
}
