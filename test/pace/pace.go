// Package pace adapts tests to slow machines, such as emulated ones.
package pace

import (
	"os"
	"strconv"
	"time"
)

// slowness is the factor that the machine is slower by: XDP_PORT_SLOW, or 1.
var slowness = func() int {
	if times, err := strconv.Atoi(os.Getenv("XDP_PORT_SLOW")); err == nil && times > 0 {
		return times
	}
	return 1
}()

// Patience is how long to wait for something that takes at most usual elsewhere.
func Patience(usual time.Duration) time.Duration { return usual * time.Duration(slowness) }

// Share is the part of a count that a slow machine is to do: all of it on a usual
// machine, and at least one on any.
func Share[N int | int64](count N) N { return max(1, count/N(slowness)) }
