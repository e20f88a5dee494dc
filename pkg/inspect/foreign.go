package inspect

// ForeignProgram is a foreign program at a tc hook, or a foreign filter without a program.
type ForeignProgram struct {
	// Hook is tc_ingress or tc_egress.
	Hook string `json:"hook"`
	// Kind is tcx or clsact.
	Kind string `json:"kind"`
	// Classifier, Filter and Priority describe a clsact filter: its kind, such as bpf, and the
	// name that its owner gave it.
	Classifier string `json:"classifier,omitempty"`
	Filter     string `json:"filter,omitempty"`
	Priority   uint16 `json:"priority,omitempty"`
	// ID and Name are of the program. Name is "unknown" without CAP_SYS_ADMIN.
	ID   uint32 `json:"id,omitempty"`
	Name string `json:"name,omitempty"`

	text string
}

// String describes the program in messages.
func (p ForeignProgram) String() string { return p.text }
