package rules

import "testing"

func TestDigestDiffers(t *testing.T) {
	base := func() []Rule {
		return []Rule{
			{Name: "a", Protocol: UDP, Ports: PortRange{53, 53}, Action: Rewrite, To: PortRange{5353, 5353}},
			{Name: "b", Protocol: UDP, Ports: PortRange{53, 60}, Action: Drop, Peers: prefixes("10.0.0.0/8")},
		}
	}
	digest := func(change func(rules []Rule)) [32]byte {
		rules := base()
		change(rules)
		return mustCompile(t, rules).Digest()
	}
	same := digest(func([]Rule) {})
	for name, change := range map[string]func(rules []Rule){
		"name":      func(rules []Rule) { rules[0].Name = "c" },
		"direction": func(rules []Rule) { rules[0].Direction = Ingress },
		"protocol":  func(rules []Rule) { rules[0].Protocol = TCP },
		"port":      func(rules []Rule) { rules[1].Ports.Last++ },
		"action":    func(rules []Rule) { rules[1].Action = Pass },
		"to":        func(rules []Rule) { rules[0].To = PortRange{5354, 5354} },
		"one way":   func(rules []Rule) { rules[0].OneWay = true },
		"length":    func(rules []Rule) { rules[1].Peers = prefixes("10.0.0.0/9") },
		"address":   func(rules []Rule) { rules[1].Peers = prefixes("11.0.0.0/8") },
		"family":    func(rules []Rule) { rules[1].Peers = prefixes("a00::/8") },
		"order":     func(rules []Rule) { rules[0], rules[1] = rules[1], rules[0] },
	} {
		t.Run(name, func(t *testing.T) {
			if digest(change) == same {
				t.Error("the digest is the same")
			}
		})
	}
}

// TestDigestOfTheSameTable has two lists that no packet can tell apart.
func TestDigestOfTheSameTable(t *testing.T) {
	first := Rule{Name: "a", Protocol: UDP, Ports: EveryPort, Action: Drop}
	one := []Rule{first, {Name: "b", Protocol: UDP, Ports: PortRange{1, 2}, Action: Pass}}
	two := []Rule{first, {Name: "b", Protocol: UDP, Ports: PortRange{3, 4}, Action: Pass}}
	if mustCompile(t, one).Digest() != mustCompile(t, two).Digest() {
		t.Error("the digests of two lists with the same table differ")
	}
}
