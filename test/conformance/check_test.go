package conformance

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/test/node"
)

// TestCheckFindsDamage damages an attachment without the plugin. CHECK must name the
// damage, and ADD must fix it.
func TestCheckFindsDamage(t *testing.T) {
	tests := map[string]struct {
		hook   string // "" for either
		damage func(*testing.T, *line)
		parts  []string
	}{
		"XDP link detached": {
			"", func(t *testing.T, l *line) { l.withLink(t, "xdp", link.Link.Detach) },
			[]string{"the XDP program is not on host1 any more", "detached"},
		},
		"tc ingress link detached": {
			"tcx", func(t *testing.T, l *line) { l.withLink(t, "tc_ingress", link.Link.Detach) },
			[]string{"the tc ingress program is not on host1 any more", "detached"},
		},
		"tc egress link detached": {
			"tcx", func(t *testing.T, l *line) { l.withLink(t, "tc_egress", link.Link.Detach) },
			[]string{"the tc egress program is not on host1 any more", "detached"},
		},
		"other program by XDP link": {
			"", func(t *testing.T, l *line) {
				l.withLink(t, "xdp", func(pinned link.Link) error { return pinned.Update(foreign(t, ebpf.XDP, xdpPass)) })
			},
			[]string{`the XDP program on host1 is "foreign" (id `},
		},
		"other program by tc link": {
			"tcx", func(t *testing.T, l *line) {
				l.withLink(t, "tc_egress", func(pinned link.Link) error { return pinned.Update(foreign(t, ebpf.SchedCLS, tcNext)) })
			},
			[]string{`the tc egress program on host1 is "foreign" (id `},
		},
		"interface re-created":                {"", recreate, []string{"host1 with index"}},
		"interface re-created, same index":    {"tcx", recreateSameIndex, []string{"the XDP program is not on host1", "tc ingress", "tc egress"}},
		"clsact, re-created, same index":      {"clsact", recreateSameIndex, []string{"the XDP program is not on host1", "filter"}},
		"record unpinned":                     {"", unpin("record"), []string{"record", "no such file"}},
		"XDP link unpinned":                   {"", unpin("xdp"), []string{"the link of the XDP program is not pinned at /sys/fs/bpf/"}},
		"tc ingress link unpinned":            {"tcx", unpin("tc_ingress"), []string{"the link of the tc ingress program is not pinned"}},
		"tc egress link unpinned":             {"tcx", unpin("tc_egress"), []string{"the link of the tc egress program is not pinned"}},
		"attachment unpinned":                 {"", unpin("."), []string{"nothing is attached"}},
		"program of the ruleset unpinned":     {"", unpin("../../../../to_container"), []string{"to_container"}},
		"counters of the ruleset unpinned":    {"", unpin("../../../../counters"), []string{"counters"}},
		"flows of the ruleset unpinned":       {"", unpin("../../../../flows"), []string{"flows"}},
		"description of the ruleset unpinned": {"", unpin("../../../../description"), []string{"description"}},
		"everything unpinned":                 {"", unpin("../../../.."), []string{"nothing is attached"}},
		"out of the counters":                 {"", deactivate, []string{"the programs are not enabled for host1", "counters"}},
		"clsact filter removed":               {"clsact", func(t *testing.T, l *line) { l.dropFilter(t, netlink.HANDLE_MIN_EGRESS) }, []string{"the filter of the tc egress program is not at host1's clsact"}},
		"clsact filter has another program":   {"clsact", otherProgramInFilter, []string{`the tc ingress program on host1 is "foreign" (id `}},
		"clsact qdisc removed":                {"clsact", dropQdisc, []string{"tc ingress", "tc egress", "host1's clsact"}},
	}
	n := answering(t)
	c := newContainer(t, n)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if tt.hook == "tcx" {
				node.NeedTCX(t)
			}
			if strings.Contains(strings.Join(tt.parts, " "), "XDP") {
				node.NeedMode(t, "generic") // without it, auto has no XDP program
			}
			l := lay(t, n, c, "a", "eth0", 1)
			defer l.remove(t)
			configured := lab().with("tcHook", cmp.Or(tt.hook, node.TCHook(t)))
			l.succeed(t, "ADD", configured)
			l.succeed(t, "CHECK", configured)
			tt.damage(t, l)
			fail(t, n, l.call(t, "CHECK", configured), 100,
				append(tt.parts, "check interface eth0 of container a in network lab")...)
			l.succeed(t, "ADD", configured)
			l.succeed(t, "CHECK", configured)
			l.wantRules(t)
			l.succeed(t, "DEL", configured)
			l.wantNoPrograms(t)
		})
	}
}

// TestCheckFindsForeignFilter adds a foreign filter next to ours. CHECK must not take it
// for ours, and DEL must not remove it.
func TestCheckFindsForeignFilter(t *testing.T) {
	n := answering(t)
	l := lay(t, n, newContainer(t, n), "a", "eth0", 1)
	configured := lab().with("tcHook", "clsact")
	l.succeed(t, "ADD", configured)
	l.dropFilter(t, netlink.HANDLE_MIN_INGRESS)
	other := foreign(t, ebpf.SchedCLS, tcNext)
	l.onHost(t, func(device netlink.Link) error {
		return netlink.FilterAdd(&netlink.BpfFilter{
			FilterAttrs: netlink.FilterAttrs{
				LinkIndex: device.Attrs().Index, Parent: netlink.HANDLE_MIN_INGRESS,
				Handle: 1, Priority: 2, Protocol: unix.ETH_P_ALL,
			},
			Fd: other.FD(), Name: "foreign", DirectAction: true,
		})
	})
	fail(t, n, l.call(t, "CHECK", configured), 100, "the filter of the tc ingress program is not at host1's clsact")
	l.succeed(t, "ADD", configured)
	l.succeed(t, "CHECK", configured)
	l.wantRules(t)
	l.succeed(t, "DEL", configured)
	info, err := other.Info()
	must(t, err)
	id, _ := info.ID()
	if left := l.programs(t); !slices.Equal(left, []ebpf.ProgramID{id}) {
		t.Errorf("the programs %v are left, should be the foreign one, %d", left, id)
	}
}

// TestOrphanedFilters removes the pins that name the clsact filters. ADD must find the
// filters, whatever hook it attaches to, and leave foreign ones alone.
func TestOrphanedFilters(t *testing.T) {
	hooks := []string{"clsact"}
	if node.HasTCX(t) {
		hooks = append(hooks, "tcx")
	}
	n := answering(t)
	c := newContainer(t, n)
	neighbour := lay(t, n, c, "b", "eth1", 2)
	configured := lab().with("tcHook", "clsact")
	neighbour.succeed(t, "ADD", configured)
	others := configured.with("name", "others", "rules", []any{rule("protocol", "udp", "port", 7999, "toPort", 7997)})
	for path, part := range map[string]string{"record": "no such file", "../../../..": "nothing is attached"} {
		for _, hook := range hooks {
			l := lay(t, n, c, "a", "eth0", 1)
			l.succeed(t, "ADD", others)
			unpin(path)(t, l)
			fail(t, n, l.call(t, "CHECK", others), 100, part)
			again := others.with("tcHook", hook, "rules", lab()["rules"])
			l.succeed(t, "ADD", again)
			l.succeed(t, "CHECK", again)
			l.wantRules(t)
			l.succeed(t, "DEL", again)
			l.wantNoPrograms(t)
			l.remove(t)
		}
	}
	neighbour.succeed(t, "CHECK", configured)
	neighbour.wantRules(t)
}

// TestCheckNamesSuccessor replaces our XDP program by a foreign one.
func TestCheckNamesSuccessor(t *testing.T) {
	node.NeedMode(t, "generic")
	n := answering(t)
	l := lay(t, n, newContainer(t, n), "a", "eth0", 1)
	l.succeed(t, "ADD", lab())
	l.withLink(t, "xdp", link.Link.Detach)
	var other link.Link
	l.onHost(t, func(device netlink.Link) (err error) {
		other, err = link.AttachXDP(link.XDPOptions{
			Program: foreign(t, ebpf.XDP, xdpPass), Interface: device.Attrs().Index, Flags: link.XDPGenericMode,
		})
		return err
	})
	defer other.Close()
	fail(t, n, l.call(t, "CHECK", lab()), 100, "the XDP program is not on host1 any more", `"foreign" (id `)
	fail(t, n, l.call(t, "ADD", lab().with("mode", "generic")), 104, `"foreign" (id `)
	l.succeed(t, "DEL", lab())
	info, err := other.Info()
	must(t, err)
	if info.XDP().Ifindex == 0 {
		t.Error("DEL detached a foreign program")
	}
}

// TestCheckFindsOtherConfiguration runs CHECK with another configuration than ADD.
func TestCheckFindsOtherConfiguration(t *testing.T) {
	hook := node.TCHook(t)
	otherHook := map[string]string{"tcx": "clsact", "clsact": "tcx"}[hook]
	n := answering(t)
	l := lay(t, n, newContainer(t, n), "a", "eth0", 1)
	rules := []any{
		rule("protocol", "udp", "port", 7999, "toPort", 7998),
		rule("protocol", "tcp", "port", 25, "action", "drop", "name", "no-smtp", "cidrs", []any{"10.0.0.0/8"}),
	}
	configured := lab().with("rules", rules, "flows", 2048, "tcHook", hook)
	l.succeed(t, "ADD", configured)
	for name, tt := range map[string]struct {
		asked config
		parts []string
	}{
		"rule changed": {
			configured.with("rules", []any{rule("protocol", "udp", "port", 7999, "toPort", 7997), rules[1]}),
			[]string{"rules[0]", `"rule-0"`, "another toPort"},
		},
		"rule renamed": {
			configured.with("rules", []any{rules[0], rule("protocol", "tcp", "port", 25, "action", "drop", "name", "mail", "cidrs", []any{"10.0.0.0/8"})}),
			[]string{"rules[1]", `"mail"`, `"no-smtp"`},
		},
		"other addresses": {
			configured.with("rules", []any{rules[0], rule("protocol", "tcp", "port", 25, "action", "drop", "name", "no-smtp", "cidrs", []any{"10.0.0.0/9"})}),
			[]string{"rules[1]", `"no-smtp"`},
		},
		"rule added": {
			configured.with("rules", append(rules[:2:2], rule("protocol", "tcp", "port", 80, "action", "drop", "name", "web"))),
			[]string{"rules[2]", `"web"`, "not in force"},
		},
		"rule removed": {configured.with("rules", rules[:1]), []string{`"no-smtp"`, "not in the configuration"}},
		"no rules":     {configured.with("rules", []any{}), []string{"no rules", "attached"}},
		"mode":         {configured.with("mode", "native"), []string{"the mode is " + node.AutoMode(t), "wants native"}},
		"tc hook":      {configured.with("tcHook", otherHook), []string{"the tc hook is " + hook, "wants " + otherHook}},
		"flows":        {configured.with("flows", 4096), []string{"2048 flows", "wants 4096"}},
	} {
		t.Run(name, func(t *testing.T) {
			fail(t, n, l.call(t, "CHECK", tt.asked), 100,
				append(tt.parts, "check interface eth0 of container a in network lab")...)
		})
	}
	for _, same := range []config{
		configured.with("mode", "auto"), configured.with("mode", node.AutoMode(t)), configured.with("tcHook", "auto"),
	} {
		l.succeed(t, "CHECK", same)
	}
}

// TestCheckTakesEarlierBuild gives the ruleset the name that another build of the
// programs would use. CHECK must accept it, and ADD must move the container on.
func TestCheckTakesEarlierBuild(t *testing.T) {
	n := answering(t)
	l := lay(t, n, newContainer(t, n), "a", "eth0", 1)
	l.succeed(t, "ADD", lab())
	current := filepath.Clean(l.ruleset(t))
	earlier := filepath.Join(filepath.Dir(current), strings.Repeat("0", len(filepath.Base(current))))
	must(t, os.Rename(current, earlier))
	makeOfEarlierBuild(t, earlier)
	l.succeed(t, "CHECK", lab())
	fail(t, n, l.call(t, "CHECK", lab().with("flows", 2048)), 100, "flows")
	l.succeed(t, "ADD", lab())
	if now := filepath.Clean(l.ruleset(t)); now != current {
		t.Errorf("ADD again moved it to %s, should be %s", now, current)
	}
	if _, err := os.Stat(earlier); !os.IsNotExist(err) {
		t.Errorf("the earlier ruleset is still there: %v", err)
	}
	l.succeed(t, "CHECK", lab())
	l.wantRules(t)
	must(t, os.Rename(current, earlier))
	l.succeed(t, "DEL", lab())
	l.wantNoPrograms(t)
}

// makeOfEarlierBuild gives the flows of a ruleset another build's number, and removes
// maps that earlier builds did not have.
func makeOfEarlierBuild(t *testing.T, ruleset string) {
	t.Helper()
	flows, err := ebpf.LoadPinnedMap(filepath.Join(ruleset, "flows"), nil)
	must(t, err)
	defer flows.Close()
	const buildAt = 16 // in the element after the flows; see datapath.seedOf
	last := flows.MaxEntries() - 1
	element, err := flows.LookupBytes(last)
	must(t, err)
	element[buildAt]++
	must(t, flows.Put(last, element))
	for _, name := range []string{"known_packets", "near_counters", "near_devices"} {
		must(t, os.Remove(filepath.Join(ruleset, name)))
	}
}

// TestCheckWithoutAttachment runs CHECK without an attachment.
func TestCheckWithoutAttachment(t *testing.T) {
	n := answering(t)
	l := lay(t, n, newContainer(t, n), "a", "eth0", 1)
	fail(t, n, l.call(t, "CHECK", lab()), 100, "nothing is attached")
	l.succeed(t, "CHECK", lab().with("rules", []any{}))
	fail(t, n, l.call(t, "CHECK", lab().without("prevResult")), 7, "prevResult")
	l.succeed(t, "ADD", lab())
	other := *l
	other.id = "b"
	fail(t, n, other.call(t, "CHECK", lab()), 100, "nothing is attached", "container b")
	l.remove(t)
	fail(t, n, l.call(t, "CHECK", lab()), 101, `"eth0"`, "container a")
}
