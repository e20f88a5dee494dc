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

// linksOf returns the information about all links of the attachment. An attachment need not
// have a link at each point.
//
// Returns an error wrapping pin.ErrPin, together with the links that can be read.
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

// IsPlaced reports whether a program of the attachment is on a device. Otherwise the device is
// gone, or other software detached all programs.
//
// Returns an error wrapping pin.ErrPin or hook.ErrInspect.
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

// IsPlacedAt reports whether a program of the attachment is on the device with this index.
// Without a record of this build it looks at the links alone.
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

// placedLinks returns the index of the device that the links are on, and their number. The
// index is 0 if they are on no device.
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

// PlacedAt returns the index of the device that the links of the attachment are on. It is 0 if
// they are on no device or cannot be read.
func (folder Folder) PlacedAt() int {
	index, _, err := placedLinks(folder)
	if err != nil {
		return 0
	}
	return index
}

// IsLive reports whether the attachment is on the device of its record. The links decide, or
// the filters if there are no links.
func (folder Folder) IsLive(record *Record) bool {
	links, _ := linksOf(folder)
	if len(links) > 0 {
		return pin.LinkIndex(links[0]) == record.Device.Index
	}
	isPlaced, err := record.placement().HasFilter()
	return isPlaced && err == nil
}

// HoldsXDP reports whether the XDP program on the recorded device is this attachment's. It
// needs no CAP_SYS_ADMIN, which reading the program does.
func (folder Folder) HoldsXDP(record *Record) bool {
	info, err := pin.LinkInfo(folder.path(hook.PointXDP))
	return err == nil && pin.LinkIndex(info) == record.Device.Index
}
