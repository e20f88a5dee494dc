package config

import "slices"

// checkChain checks the other plugins of the list for what xdp-port needs.
func (p *listParser) checkChain(at *value, plugins []*value, hasEntry bool) {
	if len(plugins) == 0 {
		if at.IsGood() {
			p.report(at, "has no plugin of type %q", PluginType)
		}
		return
	}
	p.checkInterface(plugins[0])
	p.checkBandwidth(plugins)
	if !hasEntry && len(p.problems) == 0 {
		p.report(at, "has no plugin of type %q", PluginType)
	}
}

// withoutVeth are the reference plugins that make interfaces without a host side.
var withoutVeth = []string{"dummy", "ipvlan", "loopback", "macvlan", "tap", "vlan"}

// checkInterface checks the plugin that makes the container's interface.
func (p *listParser) checkInterface(first *value) {
	switch kind, _ := first.At("type").Text(); {
	case kind == PluginType:
		p.report(first, "xdp-port is a chained plugin: list it after the plugin that makes the interface")
	case slices.Contains(withoutVeth, kind):
		p.report(first.At("type"), "%q makes no veth: xdp-port needs the host side of a veth, "+
			"as bridge, ptp and most pod networks make", kind)
	}
}

// checkBandwidth reports tcHook clsact beside a bandwidth plugin that limits what the
// container sends: its ingress qdisc and clsact exclude each other. tcx works with both
// directions, and clsact with a limit for what the container receives.
func (p *listParser) checkBandwidth(plugins []*value) {
	at := slices.IndexFunc(plugins, limitsEgress)
	if at < 0 {
		return
	}
	for _, plugin := range plugins {
		hook := plugin.At("tcHook")
		if kind, _ := plugin.At("type").Text(); kind != PluginType || !hook.IsGood() {
			continue
		}
		if text, _ := hook.Text(); text == HookClsact.String() {
			p.report(hook, `%s cannot be combined with the ingress qdisc of the bandwidth plugin, plugins[%d]: `+
				`write "auto" or "tcx"`, hook, at)
		}
	}
}

// limitsEgress reports whether a plugin is bandwidth and may limit what a container sends,
// by its configuration or on a container's request.
func limitsEgress(plugin *value) bool {
	if kind, _ := plugin.At("type").Text(); kind != "bandwidth" {
		return false
	}
	if rate := plugin.At("egressRate"); rate != nil {
		if n, isWhole := rate.Whole(); !isWhole || n != 0 {
			return true
		}
	}
	capability := plugin.At("capabilities", "bandwidth")
	return capability != nil && string(capability.Raw()) == "true"
}
