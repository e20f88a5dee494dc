package config

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/xdp-port/xdp-port/pkg/rules"
)

// beside returns a configuration with rules of the network and of the container.
func beside(theirs, own string) string {
	return network(declareRules + `"rules": [` + theirs + `], "runtimeConfig": {"xdpPortRules": [` + own + `]}`)
}

const (
	noSMTP   = `{"protocol": "tcp", "port": 25, "action": "drop", "name": "no-smtp"}`
	relay    = `{"protocol": "tcp", "port": 25, "action": "pass", "cidrs": ["10.0.0.25/32"]}`
	localDNS = `{"protocol": "udp", "port": 53, "toPort": 5353, "name": "dns"}`
	noTCP    = `{"protocol": "tcp", "action": "drop", "name": "no-tcp"}`
)

// dropped returns a rule that drops packets to a range of ports.
func dropped(ports, name string) string {
	return fmt.Sprintf(`{"protocol": "tcp", "port": %q, "action": "drop", "name": %q}`, ports, name)
}

func TestEvasion(t *testing.T) {
	const at = "runtimeConfig.xdpPortRules[0]"
	smtp := at + `.toPort: rewrites to port 25, which rule "no-smtp" of the network drops: choose another port`
	replies := at + `: its replies would bypass rule "no-tcp" of the network, which drops all remaining ports: leave the rule out, or make it oneWay`
	checkRefusals(t, []refused{
		{"to a dropped port", beside(noSMTP, `{"protocol": "tcp", "port": 2525, "toPort": 25}`), smtp},
		{"of a range", beside(noSMTP, `{"protocol": "tcp", "port": "2500-2599", "toPort": "1-100"}`), smtp},
		{"of a range that begins dropped", beside(noSMTP, `{"protocol": "tcp", "port": "25-26", "toPort": "24-25"}`), smtp},
		{"one way", beside(noSMTP, `{"protocol": "tcp", "port": 2525, "toPort": 25, "oneWay": true}`), smtp},
		{"to some peers", beside(noSMTP, `{"protocol": "tcp", "port": 2525, "toPort": 25, "cidrs": ["fd00::/8"]}`), smtp},
		{"to more than the exception", beside(relay+","+noSMTP, `{"protocol": "tcp", "port": 2525, "toPort": 25, "cidrs": ["10.0.0.24/31"]}`), smtp},
		{
			"to a rewritten port", beside(localDNS, `{"protocol": "udp", "port": 5300, "toPort": 53}`),
			at + `.toPort: rewrites to port 53, which rule "dns" of the network rewrites: choose another port`,
		},
		{
			"into a dropped range", beside(`{"direction": "ingress", "protocol": "tcp", "port": "1-1023", "action": "drop"}`,
				`{"direction": "ingress", "protocol": "tcp", "port": 2222, "toPort": 22}`),
			at + `.toPort: rewrites to port 22, which rule "rule-0" of the network drops: choose another port`,
		},
		{"replies", beside(noTCP, `{"direction": "ingress", "protocol": "tcp", "port": 80, "toPort": 8080}`), replies},
		{"replies but for one port", beside(`{"protocol": "tcp", "port": 443, "action": "pass"},`+noTCP, `{"direction": "ingress", "protocol": "tcp", "port": 80, "toPort": 8080}`), replies},
		{
			"replies past two halves", beside(dropped("1-32767", "low")+","+dropped("32768-65535", "no-tcp"),
				`{"direction": "ingress", "protocol": "tcp", "port": 80, "toPort": 8080}`), replies,
		},
	})
	for _, tt := range []struct{ network, container string }{
		{dropped("1-32767", "low") + "," + dropped("32769-65535", "high"), `{"direction": "ingress", "protocol": "tcp", "port": 80, "toPort": 8080}`},
		{noSMTP, `{"protocol": "udp", "port": 2525, "toPort": 25}`},
		{noSMTP, `{"protocol": "tcp", "port": 25, "toPort": 26}`},
		{noSMTP, `{"protocol": "tcp", "port": 25, "action": "pass"}`},
		{noSMTP, `{"protocol": "tcp", "port": 2525, "action": "drop"}`},
		{noSMTP, `{"direction": "ingress", "protocol": "tcp", "port": 2525, "toPort": 25}`},
		{relay + "," + noSMTP, `{"protocol": "tcp", "port": 2525, "toPort": 25, "cidrs": ["10.0.0.25/32"]}`},
		// The network's rule decides for all these ports, so the own rule has no effect.
		{noTCP, `{"protocol": "tcp", "port": 2525, "toPort": 25}`},
		{noSMTP, `{"protocol": "tcp", "port": "25-26", "toPort": "26-27"}`},
		{noTCP, `{"direction": "ingress", "protocol": "tcp", "port": 80, "toPort": 8080, "oneWay": true}`},
		{noTCP, `{"direction": "ingress", "protocol": "udp", "port": 80, "toPort": 8080}`},
		{`{"protocol": "tcp", "action": "pass", "cidrs": ["10.0.0.0/8"]},` + noTCP, `{"direction": "ingress", "protocol": "tcp", "port": 80, "toPort": 8080, "cidrs": ["10.1.0.0/16"]}`},
	} {
		if _, err := Parse([]byte(beside(tt.network, tt.container))); err != nil {
			t.Errorf("%s beside %s: %v", tt.container, tt.network, err)
		}
	}
}

// TestContainersUndoNothing has random rules. Accepted own rules may not change a decision of
// the network, and may not rewrite to a port that the network drops or rewrites.
func TestContainersUndoNothing(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 25))
	accepted, refused := 0, 0
	for range 3000 {
		own, theirs := randomRules(random), randomRules(random)
		n, err := Parse([]byte(beside(theirs, own)))
		if err != nil {
			if strings.Contains(err.Error(), "rewrites to port") || strings.Contains(err.Error(), "replies would") {
				refused++
			} else {
				t.Fatal(err)
			}
			continue
		}
		accepted++
		alone := parse(t, network(`"rules": [`+theirs+`]`)).Rules
		for _, peer := range peersTried {
			for port := uint16(1); port <= 12; port++ {
				checkUndoesNothing(t, n.Rules, alone, port, netip.MustParseAddr(peer))
			}
		}
	}
	t.Logf("%d accepted, %d refused", accepted, refused)
	if accepted < 100 || refused < 100 {
		t.Error("too few rules were accepted or refused to prove anything")
	}
}

var peersTried = []string{"10.0.0.1", "10.1.0.1", "192.0.2.1", "fd00::1"}

func checkUndoesNothing(t *testing.T, all, network []rules.Rule, port uint16, peer netip.Addr) {
	t.Helper()
	for _, direction := range []rules.Direction{rules.Egress, rules.Ingress} {
		was := rules.Decide(network, direction, rules.TCP, port, peer)
		is := rules.Decide(all, direction, rules.TCP, port, peer)
		switch {
		case was >= 0 && is != was:
			t.Fatalf("port %d, %s: rule %d decides, not %d, of %+v", port, peer, is, was, all)
		case was >= 0 || is < 0 || all[is].Action != rules.Rewrite:
			continue
		}
		output := all[is].Rewritten(port)
		if at := rules.Decide(network, direction, rules.TCP, output, peer); at >= 0 && network[at].Action != rules.Pass {
			t.Fatalf("port %d, %s: rule %d rewrites to port %d past rule %d, of %+v", port, peer, is, output, at, all)
		}
	}
}

// randomRules returns one to three rules for TCP with few ports and peers, so that they
// overlap.
func randomRules(random *rand.Rand) string {
	list := make([]string, 1+random.IntN(3))
	for i := range list {
		first := 1 + random.IntN(8)
		length := random.IntN(4)
		to := 1 + (first+random.IntN(7))%8
		for to == first {
			to = 1 + random.IntN(8)
		}
		list[i] = fmt.Sprintf(`{"protocol": "tcp", "port": "%d-%d"`, first, first+length)
		switch random.IntN(4) {
		case 0:
			list[i] += fmt.Sprintf(`, "toPort": "%d-%d"`, to, to+length)
		case 1:
			list[i] += fmt.Sprintf(`, "toPort": %d, "oneWay": %t`, 9+to, random.IntN(2) == 0)
		case 2:
			list[i] += `, "action": "drop"`
		case 3:
			list[i] += `, "action": "pass"`
		}
		list[i] += []string{``, ``, `, "cidrs": ["10.0.0.0/16", "fd00::/8"]`, `, "cidrs": ["10.0.0.0/8"]`}[random.IntN(4)]
		list[i] += []string{``, `, "direction": "ingress"`}[random.IntN(2)] + `}`
	}
	return strings.Join(list, ", ")
}
