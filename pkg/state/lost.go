package state

import (
	"errors"
	"slices"

	"github.com/xdp-port/xdp-port/pkg/attachment"
	"github.com/xdp-port/xdp-port/pkg/hook"
)

// removeLost takes clsact filters off a device that are of no attachment on
// record: somebody removed the pins, or mounted another BPF file system. Links
// would be gone with their pins; filters would go on beside the new ones.
func (s *Store) removeLost(site hook.InterfaceState) error {
	if len(site.Filters) == 0 {
		return nil
	}
	records := s.recordsOn(site.Device)
	var errs []error
	for _, filter := range site.Filters {
		isOf := func(record *attachment.Record) bool { return filter.IsNamed(record.FilterName()) }
		if !slices.ContainsFunc(records, isOf) {
			errs = append(errs, filter.Remove())
		}
	}
	return errors.Join(errs...)
}

// recordsOn returns the records of all attachments on a device, also of those
// that are in the making or in removal.
func (s *Store) recordsOn(dev hook.Device) (records []*attachment.Record) {
	rulesets, _ := s.listRulesets()
	for _, ruleset := range rulesets {
		published, _ := publishedIn(ruleset)
		for _, folder := range append(published, claimsOf(ruleset)...) {
			if record, err := folder.Record(); err == nil && record.Device.Index == dev.Index {
				records = append(records, record)
			}
		}
	}
	return records
}
