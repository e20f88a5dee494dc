package install

import (
	"errors"
	"time"

	"github.com/xdp-port/xdp-port/pkg/config"
	"github.com/xdp-port/xdp-port/pkg/jsondoc"
)

// attempts bounds how often a file is read, and pause is the time between two attempts.
const (
	attempts = 5
	pause    = 50 * time.Millisecond
)

// errUnusable is the error of a folder in which no runtime can use the first file.
var errUnusable = errors.New("unusable first configuration")

// retry tries again while another process writes a file. A file that is not JSON may be
// half-written.
func retry(try func() error) (err error) {
	for i := range attempts {
		if i > 0 {
			time.Sleep(pause)
		}
		if err = try(); !errors.Is(err, errMoved) && !isUnreadable(err) {
			return err
		}
	}
	return err
}

func isUnreadable(err error) bool {
	var malformed *jsondoc.Error
	var invalid *config.Error
	return errors.As(err, &malformed) || errors.As(err, &invalid) || errors.Is(err, errUnusable)
}
