package config

import "strings"

// containerRulePaths are where a runtime hands down rules for one container.
var containerRulePaths = [][]string{
	{"runtimeConfig", "xdpPortRules"},
	{"runtimeConfig", "io.kubernetes.cri.pod-annotations", "xdp-port/rules"},
	{"args", "cni", "xdpPortRules"},
}

// refuseContainerRules refuses rules for one container wherever they may
// stand. To ignore them would leave a container open that asked for a drop.
func (p *parser) refuseContainerRules(o object) {
	for _, path := range containerRulePaths {
		if v := o.in[path[0]].at(path[1:]...); v != nil && !isEmptyList(v) {
			p.report(v, "rules for one container are not supported yet: leave them out")
		}
	}
}

// isEmptyList also knows a list that comes as JSON text in a string, as it
// does in an annotation.
func isEmptyList(v *value) bool {
	text, isText := v.text()
	if !isText {
		text = string(v.raw)
	}
	text = strings.Join(strings.Fields(text), "")
	return text == "" || text == "[]" || text == "null"
}
