package hook

// Device is the host side of a veth in the current network namespace.
//
// Its index identifies it among the devices there. Its name may change; it is for people.
type Device struct {
	Index int    `json:"index"`
	Name  string `json:"name"`
	// Address is its hardware address, empty where it is not known.
	Address string `json:"address,omitempty"`
	// Serial is what veth.SerialOf says of it, 0 where that is not known.
	Serial uint64 `json:"serial,omitempty"`
}
