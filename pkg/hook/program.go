package hook

import "github.com/cilium/ebpf"

// ProgramName returns the name that the kernel knows a program by, "unknown" if
// it does not tell.
func ProgramName(id ebpf.ProgramID) string {
	program, err := ebpf.NewProgramFromID(id)
	if err != nil {
		return "unknown"
	}
	defer program.Close()
	info, err := program.Info()
	if err != nil {
		return "unknown"
	}
	return info.Name
}
