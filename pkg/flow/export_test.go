package flow

import "time"

// What the tests of this package, which are in flow_test, see of it.
type (
	Bucket1 = bucket1
	Flow1   = flow1
	Policy  = policy
)

var (
	ErrOtherBuild = errOtherBuild
	Jiffies       = jiffies
	SeedElement   = seedElement
	SeedIndex     = seedIndex
	SeedOf        = seedOf
	ClockTick     = clockTick
	PolicyOf      = policyOf
	LoadsInOrder  = &loadsInOrder
)

// InJiffies is how long a flow may be idle, by the clock that flows go by.
func (p policy) InJiffies(tick time.Duration) uint32 { return p.jiffies(tick) }

// Rank is the policy's.
func (p policy) Rank() uint8 { return p.rank }

// Lifetime is the policy's.
func (p policy) Lifetime() time.Duration { return p.lifetime }
