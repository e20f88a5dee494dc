package datapath

import (
	"errors"

	"github.com/cilium/ebpf"

	"github.com/xdp-port/xdp-port/pkg/bpf"
)

// Programs is a loaded ruleset: its programs and maps. Programs that the rules
// do not need are nil.
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

// AtTCIngress returns the program that belongs at tc Ingress, nil for none.
func (p *Programs) AtTCIngress() *ebpf.Program {
	if p.FromContainerTC != nil {
		return p.FromContainerTC
	}
	return p.FixUpChecksum
}

// Close closes the handles; what is pinned or attached stays.
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
