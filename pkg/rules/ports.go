package rules

// PortRange is the ports First to Last, both included, in host byte order.
type PortRange struct {
	First, Last uint16
}

// EveryPort is the range of a rule that names no port.
var EveryPort = PortRange{First: 0, Last: 65535}

// Contains reports whether port lies in the range.
func (r PortRange) Contains(port uint16) bool {
	return r.First <= port && port <= r.Last
}

// ContainsAll reports whether every port of other lies in the range.
func (r PortRange) ContainsAll(other PortRange) bool {
	return r.First <= other.First && other.Last <= r.Last
}

// Overlaps reports whether the ranges have a port in common.
func (r PortRange) Overlaps(other PortRange) bool {
	return r.First <= other.Last && other.First <= r.Last
}

// Len returns the number of ports in the range, 1 to 65,536.
func (r PortRange) Len() int {
	return int(r.Last) - int(r.First) + 1
}
