// Package pace fits tests to machines that are slow, such as emulated ones.
package pace

import (
	"os"
	"strconv"
	"time"
)

// slowness is how many times slower than usual the machine is: XDP_PORT_SLOW,
// or 1.
var slowness = func() int {
	if times, err := strconv.Atoi(os.Getenv("XDP_PORT_SLOW")); err == nil && times > 0 {
		return times
	}
	return 1
}()

// Patience is how long to wait for what takes no longer than usual elsewhere.
func Patience(usual time.Duration) time.Duration { return usual * time.Duration(slowness) }

// Share is how much of a count is to be done: all of it on a usual machine, one
// at least on any.
func Share[N int | int64](count N) N { return max(1, count/N(slowness)) }
