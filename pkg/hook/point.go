package hook

import "github.com/cilium/ebpf"

// Point is a place on a device where a program is attached. It is the name of
// the link's pin, too.
type Point string

// The points.
const (
	PointXDP       Point = "xdp"
	PointTCIngress Point = "tc_ingress"
	PointTCEgress  Point = "tc_egress"
)

// Points are all of them, each of which may have a link of an attachment.
var Points = []Point{PointXDP, PointTCIngress, PointTCEgress}

// String names the point in messages.
func (p Point) String() string {
	switch p {
	case PointXDP:
		return "XDP"
	case PointTCIngress:
		return "tc ingress"
	case PointTCEgress:
		return "tc egress"
	}
	return string(p)
}

// Side returns the side of tc that the point is on. PointXDP has none.
func (p Point) Side() Side { return p == PointTCEgress }

// Side is which way packets pass the host side of the veth.
type Side bool

// The two sides.
const (
	// Ingress is where packets from the container pass.
	Ingress Side = false
	// Egress is where packets to the container pass.
	Egress Side = true
)

// Sides are both.
var Sides = []Side{Ingress, Egress}

// String returns the word that tc uses.
func (s Side) String() string {
	if s == Egress {
		return "egress"
	}
	return "ingress"
}

// Point returns the point of tc on the side.
func (s Side) Point() Point {
	if s == Egress {
		return PointTCEgress
	}
	return PointTCIngress
}

func (s Side) tcx() ebpf.AttachType {
	if s == Egress {
		return ebpf.AttachTCXEgress
	}
	return ebpf.AttachTCXIngress
}
