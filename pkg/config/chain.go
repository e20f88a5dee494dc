package config

import "slices"

// checkChain looks for what xdp-port needs of the plugins beside it.
func (p *listParser) checkChain(at *value, plugins []*value, list *List) {
	if len(plugins) == 0 {
		if at.good() {
			p.report(at, "has no plugin of type %q", PluginType)
		}
		return
	}
	p.checkInterface(plugins[0])
	p.checkBandwidth(plugins)
	if len(list.Entries) == 0 && len(p.mistakes) == 0 {
		p.report(at, "has no plugin of type %q", PluginType)
	}
}

// withoutVeth are the reference plugins whose interfaces have no other end that
// an XDP or tc program could sit at.
var withoutVeth = []string{"dummy", "ipvlan", "loopback", "macvlan", "tap", "vlan"}

// checkInterface looks at the plugin that makes the container's interface.
func (p *listParser) checkInterface(first *value) {
	switch kind, _ := first.at("type").text(); {
	case kind == PluginType:
		p.report(first, "xdp-port is a chained plugin: list it after the one that makes the interface")
	case slices.Contains(withoutVeth, kind):
		p.report(first.at("type"), "%q makes no veth: xdp-port works at the host side of a veth, "+
			"which bridge, ptp and most networks for pods make", kind)
	}
}

// checkBandwidth looks for the one qdisc that clsact cannot share a device with.
// tcx can, and so can a clsact qdisc with the other half of the bandwidth plugin,
// which limits what the container receives.
func (p *listParser) checkBandwidth(plugins []*value) {
	at := slices.IndexFunc(plugins, limitsEgress)
	if at < 0 {
		return
	}
	for _, plugin := range plugins {
		hook := plugin.at("tcHook")
		if kind, _ := plugin.at("type").text(); kind != PluginType || !hook.good() {
			continue
		}
		if text, _ := hook.text(); text == HookClsact.String() {
			p.report(hook, `%s does not go with the bandwidth plugin, plugins[%d], whose ingress qdisc takes its place: `+
				`write "auto" or "tcx"`, hook, at)
		}
	}
}

// limitsEgress tells whether a plugin is bandwidth, and may limit what a container
// sends: by itself, or where a container asks for it.
func limitsEgress(plugin *value) bool {
	if kind, _ := plugin.at("type").text(); kind != "bandwidth" {
		return false
	}
	if rate := plugin.at("egressRate"); rate != nil {
		if n, isWhole := rate.whole(); !isWhole || n != 0 {
			return true
		}
	}
	capability := plugin.at("capabilities", "bandwidth")
	return capability != nil && string(capability.raw) == "true"
}
