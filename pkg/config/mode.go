package config

// Mode is the way in which the kernel runs the programs.
type Mode uint8

// The modes.
const (
	// ModeAuto lets the plugin choose the best mode for the device.
	ModeAuto Mode = iota
	// ModeNative runs the program in the device's driver.
	ModeNative
	// ModeGeneric runs the program in the network stack, on any device.
	ModeGeneric
	// ModeOffload runs the program in the network card.
	ModeOffload
	// ModeTC runs a tc program instead of the XDP program.
	ModeTC
)

// String returns the word that the configuration uses.
func (m Mode) String() string {
	return [...]string{"auto", "native", "generic", "offload", "tc"}[m]
}

// TCHook is the way in which tc programs are attached.
type TCHook uint8

// The hooks.
const (
	// HookAuto is tcx if the kernel has it (Linux 6.6), else clsact.
	HookAuto TCHook = iota
	// HookTCX attaches with links, which other software does not remove by accident.
	HookTCX
	// HookClsact attaches filters of a clsact qdisc. That is faster to set up, but cannot
	// share a device with an ingress qdisc.
	HookClsact
)

// String returns the word that the configuration uses.
func (h TCHook) String() string {
	return [...]string{"auto", "tcx", "clsact"}[h]
}

var (
	readMode   = oneOf("a mode", ModeAuto, ModeNative, ModeGeneric, ModeOffload, ModeTC)
	readTCHook = oneOf("a tc hook", HookAuto, HookTCX, HookClsact)
)
