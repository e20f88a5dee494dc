package datapath

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strconv"

	"github.com/xdp-port/xdp-port/pkg/bpf"
	"github.com/xdp-port/xdp-port/pkg/rules"
	"github.com/xdp-port/xdp-port/pkg/veth"
)

// Ruleset is all that a loaded set of programs depends on.
type Ruleset struct {
	Rules []rules.Rule
	Mode  Mode
	// Flows is the number of flows that the table has room for.
	Flows int
	// NetNS identifies the network namespace that the devices are in, since
	// the programs tell them apart by ifindex alone.
	NetNS veth.NetNS
}

// Hooks are the places on a host-side veth that programs are attached to.
type Hooks struct {
	XDP, TCIngress, TCEgress bool
}

// programs tells which programs run at the hooks. Without XDP in front of it,
// the one at tc ingress does all.
func (h Hooks) programs() map[string]bool {
	return map[string]bool{
		bpf.ProgramsProgFromContainer:   h.XDP,
		bpf.ProgramsProgFixUpChecksum:   h.TCIngress && h.XDP,
		bpf.ProgramsProgFromContainerTc: h.TCIngress && !h.XDP,
		bpf.ProgramsProgToContainer:     h.TCEgress,
	}
}

// Hooks returns what the rules need: a program that no rule needs is not
// attached.
func (rs *Ruleset) Hooks() Hooks {
	var h Hooks
	for i := range rs.Rules {
		rule := &rs.Rules[i]
		rewrites := rule.Action == rules.Rewrite
		answers := rewrites && !rule.OneWay
		if rule.Direction == rules.Egress {
			h.XDP = true
			h.TCIngress = h.TCIngress || rewrites
			h.TCEgress = h.TCEgress || answers
		} else {
			h.TCEgress = true
			h.XDP = h.XDP || answers
			h.TCIngress = h.TCIngress || answers
		}
	}
	switch rs.Mode {
	case Generic: // XDP does not see all packets, tc ingress sees and counts them
		h.TCIngress = h.TCIngress || h.XDP
	case Native, Offload: // XDP sees all, and reads the skb itself
		h.TCIngress = false
	case TC:
		h.XDP, h.TCIngress = false, h.TCIngress || h.XDP
	}
	return h
}

// rewrites reports whether any rule changes ports, and with them checksums.
func (rs *Ruleset) rewrites() bool {
	return slices.ContainsFunc(rs.Rules, func(r rules.Rule) bool { return r.Action == rules.Rewrite })
}

// keepsFlows reports whether a rule needs replies translated back.
func (rs *Ruleset) keepsFlows() bool {
	return slices.ContainsFunc(rs.Rules, func(r rules.Rule) bool {
		return r.Action == rules.Rewrite && !r.OneWay
	})
}

// flows is how many flows there is room for.
func (rs *Ruleset) flows() int {
	if !rs.keepsFlows() {
		return 0
	}
	return rs.Flows
}

// Hash names the ruleset by 32 hexadecimal digits. Rulesets with equal rules, options and programs
// have the same name, and share one set of loaded programs.
func (rs *Ruleset) Hash(table *rules.Table) string {
	h := sha256.New()
	programs := bpf.Digest()
	h.Write(programs[:])
	digest := table.Digest()
	h.Write(digest[:])
	_ = binary.Write(h, binary.LittleEndian, rs.Hooks()) // a hash takes everything
	var options [32]byte
	binary.LittleEndian.PutUint64(options[0:], uint64(rs.Mode))
	binary.LittleEndian.PutUint64(options[8:], uint64(rs.Flows))
	binary.LittleEndian.PutUint64(options[16:], rs.NetNS.Inode)
	binary.LittleEndian.PutUint64(options[24:], rs.NetNS.Cookie)
	h.Write(options[:])
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// id is the first bytes of the hash, by which the programs name the ruleset.
func (rs *Ruleset) id(table *rules.Table) uint64 {
	id, _ := strconv.ParseUint(rs.Hash(table)[:bpf.RulesetIDDigits], 16, 64)
	return id
}

// hintOwner separates the hints of XDP to tc ingress of different builds and network namespaces, where
// an ifindex is another device's.
func hintOwner(netns veth.NetNS) uint64 {
	programs := bpf.Digest()
	h := sha256.New()
	h.Write(programs[:])
	_ = binary.Write(h, binary.LittleEndian, netns) // a hash takes everything
	return binary.LittleEndian.Uint64(h.Sum(nil))
}
