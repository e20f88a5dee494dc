package attachment

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/cilium/ebpf/link"

	"github.com/xdp-port/xdp-port/pkg/hook"
	"github.com/xdp-port/xdp-port/pkg/pin"
)

// linksOf returns what the kernel says of the links of the attachment in folder. It
// need not have all.
//
// Returns an error wrapping ErrPin.
func linksOf(folder Folder) ([]*link.Info, error) {
	var links []*link.Info
	var errs []error
	for _, point := range hook.Points {
		info, err := pin.LinkInfo(folder.path(point))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		links = append(links, info)
	}
	return links, errors.Join(errs...)
}

// IsPlaced tells whether anything of the attachment in dir is on its device, which
// may have another name by now. Else nothing is, and neither is the device, or
// somebody took all of it off.
//
// Returns an error wrapping ErrPin or ErrInspect if the kernel cannot be asked.
func (folder Folder) IsPlaced() (bool, error) {
	record, err := folder.Record()
	if err != nil {
		return false, err
	}
	links, err := linksOf(folder)
	if slices.ContainsFunc(links, func(info *link.Info) bool { return pin.LinkIndex(info) != 0 }) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	return record.placement().HasFilter()
}

// IsPlacedAt is IsPlaced for a device of this index, and for an attachment that may
// have no record of this build: then its links alone are asked.
func (folder Folder) IsPlacedAt(index int) (bool, error) {
	record, err := folder.Record()
	switch {
	case err != nil && (IsNoRecord(err) || errors.Is(err, pin.ErrNewer)):
		return folder.PlacedAt() == index, nil
	case err != nil:
		return false, err
	case record.Device.Index != index:
		return false, nil
	}
	return folder.IsPlaced()
}

// placedLinks returns the index of the device that the attachment's links are on,
// 0 if they are on none any more, and how many there are.
func placedLinks(folder Folder) (index, count int, err error) {
	links, err := linksOf(folder)
	if err != nil {
		return 0, 0, fmt.Errorf("its links cannot be read: %w", err)
	}
	for _, info := range links {
		index = cmp.Or(index, pin.LinkIndex(info))
	}
	return index, len(links), nil
}

// PlacedAt returns the index of the device that the links of the attachment in
// folder are on, 0 if they are on none, or nobody can tell.
func (folder Folder) PlacedAt() int {
	index, _, err := placedLinks(folder)
	if err != nil {
		return 0
	}
	return index
}

// IsLive tells whether the attachment in dir still is on the device of its
// record, by its links; what has none is live if its filters are.
func (folder Folder) IsLive(record *Record) bool {
	links, _ := linksOf(folder)
	if len(links) > 0 {
		return pin.LinkIndex(links[0]) == record.Device.Index
	}
	isPlaced, err := record.placement().HasFilter()
	return isPlaced && err == nil
}

// HoldsXDP tells whether the XDP program on the recorded device is that of the
// attachment in dir. It takes no CAP_SYS_ADMIN, as a look at the program itself
// would.
func (folder Folder) HoldsXDP(record *Record) bool {
	info, err := pin.LinkInfo(folder.path(hook.PointXDP))
	return err == nil && pin.LinkIndex(info) == record.Device.Index
}
