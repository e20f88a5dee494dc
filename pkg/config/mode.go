package config

// Mode is how the kernel runs the programs.
type Mode uint8

// The modes.
const (
	// ModeAuto lets the plugin choose the best for the kind of device.
	ModeAuto Mode = iota
	// ModeNative runs the program in the device's driver.
	ModeNative
	// ModeGeneric runs the program in the network stack, on any device.
	ModeGeneric
	// ModeOffload runs the program in the network card.
	ModeOffload
	// ModeTC runs a tc program in place of the XDP program.
	ModeTC
)

// String returns the word the configuration uses.
func (m Mode) String() string {
	return [...]string{"auto", "native", "generic", "offload", "tc"}[m]
}

// TCHook is how the tc programs are attached.
type TCHook uint8

// The hooks.
const (
	// HookAuto is tcx where the kernel has it (Linux 6.6), clsact elsewhere.
	HookAuto TCHook = iota
	// HookTCX attaches by links, which nobody removes by accident.
	HookTCX
	// HookClsact attaches by filters of a clsact qdisc, which is faster to set
	// up but cannot share a device with an ingress qdisc.
	HookClsact
)

// String returns the word the configuration uses.
func (h TCHook) String() string {
	return [...]string{"auto", "tcx", "clsact"}[h]
}

var (
	readMode   = oneOf("a mode", ModeAuto, ModeNative, ModeGeneric, ModeOffload, ModeTC)
	readTCHook = oneOf("a tc hook", HookAuto, HookTCX, HookClsact)
)
