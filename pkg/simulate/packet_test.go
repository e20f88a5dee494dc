package simulate

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/xdp-port/xdp-port/pkg/rules"
)

func TestParsePacket(t *testing.T) {
	for text, want := range map[string]string{
		"udp 10.0.0.2:4000 > 1.1.1.1:53":            "egress udp 10.0.0.2:4000 > 1.1.1.1:53",
		"ingress tcp [fd00::9]:1 -> [fd00::2]:80":   "ingress tcp [fd00::9]:1 > [fd00::2]:80",
		" egress  UDP 10.0.0.2:4000>1.1.1.1:53 ":    "egress udp 10.0.0.2:4000 > 1.1.1.1:53",
		"udp [::ffff:10.0.0.2]:4000 > 1.1.1.1:53":   "egress udp 10.0.0.2:4000 > 1.1.1.1:53",
		"udp 10.0.0.2:0 > 255.255.255.255:65535":    "egress udp 10.0.0.2:0 > 255.255.255.255:65535",
		"ingress udp [::1]:65535 > [ffff::ffff]:0 ": "ingress udp [::1]:65535 > [ffff::ffff]:0",
	} {
		got, err := ParsePacket(text, rules.Egress)
		if err != nil || got.String() != want {
			t.Errorf("%q became %q, %v", text, got, err)
		}
		if again, err := ParsePacket(got.String(), rules.Egress); err != nil || again != got {
			t.Errorf("%q became %q again, %v", got, again, err)
		}
	}
}

func TestParsePacketRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"": "is not a packet", "udp": "is not a packet", "udp 1.1.1.1:1 2.2.2.2:2": "is not a packet",
		"sctp 1.1.1.1:1 > 2.2.2.2:2":       "is not a protocol",
		"udp 1.1.1.1 > 2.2.2.2:2":          "is not an address and a port",
		"udp 1.1.1.1:1 > 2.2.2.2:70000":    "is not an address and a port",
		"udp 1.1.1.1:1 > [::1]:2":          "different address families",
		"udp [fe80::1%eth0]:1 > [::1]:2":   "has a zone",
		"udp 1.1.1.1:1 > 2.2.2.2:2 > more": "is not a packet",
	} {
		if _, err := ParsePacket(text, rules.Egress); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestRun(t *testing.T) {
	list := []rules.Rule{
		{Direction: rules.Egress, Protocol: rules.UDP, Ports: rules.PortRange{First: 53, Last: 53}, To: rules.PortRange{First: 5353, Last: 5353}, Peers: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}},
		{Direction: rules.Egress, Protocol: rules.UDP, Ports: rules.PortRange{First: 53, Last: 60}, Action: rules.Drop},
		{Direction: rules.Ingress, Protocol: rules.TCP, Ports: rules.PortRange{First: 80, Last: 81}, To: rules.PortRange{First: 8080, Last: 8081}, OneWay: true},
	}
	for text, want := range map[string]struct {
		rule     int
		action   rules.Action
		port     uint16
		restored bool
	}{
		"udp 1.1.1.1:1 > 10.0.0.1:53":         {0, rules.Rewrite, 5353, true},
		"udp 1.1.1.1:1 > 9.0.0.1:53":          {1, rules.Drop, 53, false},
		"ingress tcp 9.9.9.9:1 > 10.0.0.1:81": {2, rules.Rewrite, 8081, false},
		"ingress udp 9.9.9.9:1 > 10.0.0.1:53": {-1, rules.Pass, 53, false},
	} {
		packet, err := ParsePacket(text, rules.Egress)
		if err != nil {
			t.Fatal(err)
		}
		got := Run(packet, list)
		if got.Rule != want.rule || got.Action != want.action || got.After.Destination.Port() != want.port || got.RestoresReplies != want.restored {
			t.Errorf("%s: %+v, want %+v", text, got, want)
		}
	}
}
