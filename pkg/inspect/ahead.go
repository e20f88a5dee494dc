package inspect

import (
	"errors"
	"fmt"
)

// ForeignAhead returns an error that names interfaces whose packets a foreign tc program sees
// before the rules; nil if there is none. It names the first few and counts the others.
func ForeignAhead(list []Attachment) error {
	const enough = 4
	var errs []error
	more := 0
	for i := range list {
		switch a := &list[i]; {
		case len(a.ForeignAhead) == 0:
		case len(errs) == enough:
			more++
		default:
			errs = append(errs, fmt.Errorf("%s: packets may pass its rules by: %s at %s of %s runs before xdp-port (%d in all)",
				a.Key(), a.ForeignAhead[0], a.ForeignAhead[0].Hook, a.Device, len(a.ForeignAhead)))
		}
	}
	if more > 0 {
		errs = append(errs, fmt.Errorf("and %d more interfaces", more))
	}
	return errors.Join(errs...)
}
