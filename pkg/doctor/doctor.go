// Package doctor checks what of this machine xdp-port can use, and what prevents it. It
// changes nothing.
package doctor

import (
	"github.com/xdp-port/xdp-port/pkg/inspect"
	"github.com/xdp-port/xdp-port/pkg/kernel"
)

// Examine runs all checks.
func Examine() []Finding {
	if err := kernel.Privileged(); err != nil {
		return []Finding{
			kernelVersion(),
			{"privileges", Wrong, err.Error(), "run this as root, as the container runtime runs"},
			jit(), typeInformation(),
			{"the rest", Unknown, "cannot be checked without privileges", ""},
		}
	}
	list, err := inspect.Attachments()
	findings := []Finding{
		kernelVersion(),
		{"privileges", Fine, "all that ADD needs", ""},
		programs(),
	}
	findings = append(findings, extras()...)
	findings = append(findings, autoMode(), jit(), typeInformation(), fileSystem(), attached(list, err))
	if err != nil { // our own programs would look foreign
		return append(findings, Finding{"the rest", Unknown, "cannot be checked without knowing what is attached", ""})
	}
	return append(findings, devices(list)...)
}
