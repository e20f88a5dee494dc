package config

import (
	"strings"

	"github.com/xdp-port/xdp-port/pkg/jsondoc"
)

// MaxContainerRules is the number of own rules that a container may have, from all sources
// together.
const MaxContainerRules = 64

// MaxContainerPeers is the number of prefixes that these rules may have together. A prefix
// counts in each class of ports, so that without a limit one container could load a
// million, and keep all others waiting.
const MaxContainerPeers = 1024

// The capabilities with which a network allows own rules of containers, and the pod
// annotation that contains them.
const (
	CapabilityRules       = "xdpPortRules"
	CapabilityAnnotations = "io.kubernetes.cri.pod-annotations"
	Annotation            = "xdp-port/rules"
)

// grants are the capabilities with which a network allows own rules of containers.
type grants struct{ rules, annotations bool }

// grants reads the declared capabilities.
func (p *parser) grants(capabilities *value) grants {
	declared := p.inner(capabilities, CapabilityRules, CapabilityAnnotations)
	return grants{
		rules:       take(p, declared.in(CapabilityRules), false, readBool),
		annotations: take(p, declared.in(CapabilityAnnotations), false, readBool),
	}
}

// containerRules returns the own rules of a container. network is the number of the
// network's rules. It does not read sources that are not granted.
//
// A runtime puts only declared capabilities into runtimeConfig. The specification has it
// remove the declaration (section 4, "Deriving runtimeConfig"); then runtimeConfig counts
// as granted. libcni keeps the declaration, so it can count for args, too, which Multus
// fills with anything that a pod asks for.
func (p *parser) containerRules(o object, granted grants, network int) []*value {
	var runtimes, annotated, args *value
	removed := o.in("capabilities") == nil
	if granted.rules || removed {
		runtimes = p.follow(o.in("runtimeConfig"), CapabilityRules)
	}
	if granted.rules {
		args = p.follow(o.in("args"), "cni", CapabilityRules)
	}
	if granted.annotations || removed {
		annotated = p.annotated(p.follow(o.in("runtimeConfig"), CapabilityAnnotations, Annotation))
	}
	return p.gather([]*value{runtimes, annotated, args}, network)
}

// gather returns the elements of all lists. It reports too many elements at the last list.
func (p *parser) gather(lists []*value, network int) []*value {
	var elements []*value
	var last *value
	for _, list := range lists {
		if isNothing(list) {
			continue
		}
		if more := p.elements(list, "rules"); len(more) > 0 {
			elements, last = append(elements, more...), list
		}
	}
	switch count := len(elements); {
	case count > MaxContainerRules:
		p.report(last, "%d rules for one container are too many (at most %d from all sources together)",
			count, MaxContainerRules)
		elements = elements[:MaxContainerRules]
	case count > 0 && count+network > MaxRules:
		p.report(last, "%d rules for one container are too many beside %d of the network (at most %d together)",
			count, network, MaxRules)
	}
	return elements
}

// limitPeers reports too many prefixes in the rules of a container, at the first rule over
// the limit.
func (p *parser) limitPeers(container []listed) {
	count := 0
	for i := range container {
		if count += len(container[i].Peers); count > MaxContainerPeers {
			p.report(container[i].at.in("cidrs"), "%d prefixes for one container are too many (at most %d in all its rules): merge some",
				count, MaxContainerPeers)
			return
		}
	}
}

// follow follows a path of keys, and returns nil if it leads nowhere.
func (p *parser) follow(v *value, path ...string) *value {
	for _, key := range path {
		v = p.inner(v, key).in(key)
	}
	return v
}

// annotated returns the list that an annotation contains as JSON text.
func (p *parser) annotated(v *value) *value {
	if isNothing(v) {
		return nil
	}
	const name = "annotation " + Annotation
	const path = name + ": rules"
	whole := jsondoc.Embed(v, v.Raw(), name, path)
	text, ok := v.Text()
	if !ok {
		p.report(whole, "%s is not a string: an annotation contains the list of rules as JSON text", v)
		return nil
	}
	if strings.TrimSpace(text) == "" {
		return nil
	}
	raw, err := jsondoc.Read([]byte(text))
	if err != nil {
		p.report(whole, "%v", err)
		return nil
	}
	list := jsondoc.Embed(v, raw, name, path)
	if !list.IsList() { // also null: an annotation without rules is a typo
		p.report(list, "%s is not a list of rules: a JSON array is expected, [] for none", list)
		return nil
	}
	return list
}

// isNothing reports whether v has one of the values that runtimes and templates use for no
// list.
func isNothing(v *value) bool {
	return v == nil || v.IsNull() || string(v.Raw()) == `""`
}
