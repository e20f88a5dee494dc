package datapath

import (
	"errors"

	"github.com/cilium/ebpf"

	"github.com/xdp-port/xdp-port/pkg/bpf"
)

// Programs are the programs and maps of a loaded ruleset. Programs that the rules do not need are nil.
type Programs struct {
	FromContainer   *ebpf.Program
	FixUpChecksum   *ebpf.Program
	FromContainerTC *ebpf.Program
	ToContainer     *ebpf.Program

	maps map[string]*ebpf.Map

	// checksumHelper is known of programs that were just loaded.
	checksumHelper bool
}

// programs lists where each program is kept.
func (p *Programs) programs() map[string]**ebpf.Program {
	return map[string]**ebpf.Program{
		bpf.ProgramsProgFromContainer:   &p.FromContainer,
		bpf.ProgramsProgFixUpChecksum:   &p.FixUpChecksum,
		bpf.ProgramsProgFromContainerTc: &p.FromContainerTC,
		bpf.ProgramsProgToContainer:     &p.ToContainer,
	}
}

// AtTCIngress returns the program for tc ingress, nil if there is none.
func (p *Programs) AtTCIngress() *ebpf.Program {
	if p.FromContainerTC != nil {
		return p.FromContainerTC
	}
	return p.FixUpChecksum
}

// Close closes the handles. Pinned and attached programs stay.
func (p *Programs) Close() error {
	var errs []error
	for _, program := range p.programs() {
		errs = append(errs, (*program).Close())
	}
	for _, m := range p.maps {
		errs = append(errs, m.Close())
	}
	return errors.Join(errs...)
}
