package config

import (
	"encoding/json"
	"strings"
)

// MaxContainerRules is how many rules a container may have of its own, from
// all sources together.
const MaxContainerRules = 64

// MaxContainerPeers is how many prefixes they may have together. Without a limit
// a container could have the kernel hold a million, since each counts in each
// class of ports, and all others wait while they are loaded.
const MaxContainerPeers = 1024

// The capabilities by which a network's configuration gives its containers a
// say, and the pod annotation that has their rules then.
const (
	CapabilityRules       = "xdpPortRules"
	CapabilityAnnotations = "io.kubernetes.cri.pod-annotations"
	Annotation            = "xdp-port/rules"
)

// grants are the capabilities by which a network gives its containers a say.
type grants struct{ rules, annotations bool }

func (p *parser) grants(capabilities *value) grants {
	declared := p.inner(capabilities, CapabilityRules, CapabilityAnnotations)
	return grants{
		rules:       take(p, declared.in(CapabilityRules), false, readBool),
		annotations: take(p, declared.in(CapabilityAnnotations), false, readBool),
	}
}

// containerRules returns the rules for one container, which come after so many
// of its network. What is not granted is not even looked at.
//
// Runtimes keep out of runtimeConfig what is not declared. Those that also take
// the declaration out, as the specification says (section 4, "Deriving
// runtimeConfig"), are taken at their word. libcni leaves it, so that it can
// count for args too, which Multus fills with whatever a pod asks for.
func (p *parser) containerRules(o object, granted grants, network int) []*value {
	var runtimes, annotated, args *value
	taken := o.in("capabilities") == nil
	if granted.rules || taken {
		runtimes = p.follow(o.in("runtimeConfig"), CapabilityRules)
	}
	if granted.rules {
		args = p.follow(o.in("args"), "cni", CapabilityRules)
	}
	if granted.annotations || taken {
		annotated = p.annotated(p.follow(o.in("runtimeConfig"), CapabilityAnnotations, Annotation))
	}
	return p.gather([]*value{runtimes, annotated, args}, network)
}

// gather returns the elements of all lists, and looks that they are not too
// many. The mistake is with the list that comes last.
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

// limitPeers looks that the rules of a container have not too many prefixes. The
// mistake is with the first rule that has too many.
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

// follow goes down a path of keys. It returns nil if that leads nowhere.
func (p *parser) follow(v *value, path ...string) *value {
	for _, key := range path {
		v = p.inner(v, key).in(key)
	}
	return v
}

// annotated returns the list that an annotation holds as JSON text.
func (p *parser) annotated(v *value) *value {
	if isNothing(v) {
		return nil
	}
	const name = "annotation " + Annotation
	list := &value{raw: v.raw, offset: v.offset, root: &root{name: name, path: name + ": rules"}}
	text, ok := v.text()
	if !ok {
		p.report(list, "%s is not a string: an annotation has the list of rules as JSON text", v)
		return nil
	}
	if strings.TrimSpace(text) == "" {
		return nil
	}
	var raw json.RawMessage
	if err := json.Unmarshal([]byte(text), &raw); err != nil {
		at, problem := syntaxProblem([]byte(text), err)
		p.report(list, "%s: %s", at, problem)
		return nil
	}
	list.raw = raw
	if !list.isList() { // null, too: the annotation is there, and says nothing
		p.report(list, "%s is not a list of rules: a JSON array is expected, [] for none", list)
		return nil
	}
	return list
}

// isNothing tells whether v is what runtimes and templates leave where there
// is no list.
func isNothing(v *value) bool {
	return v == nil || v.isNull() || string(v.raw) == `""`
}
