package config

import (
	"strings"
	"testing"
)

func TestNearest(t *testing.T) {
	for text, want := range map[string]string{
		"PORT": "port", "ports": "port", "prot": "protocol", "Protokoll": "protocol", "to_port": "toPort", "to-port": "toPort",
		"ToPorts": "toPort", "cidr": "cidrs", "CIDRs": "cidrs", "dir": "direction", "oneway": "oneWay", "names": "name",
		"": "", "p": "", "to": "", "source": "", "comment": "", strings.Repeat("port", 1000): "",
	} {
		if got := nearest(text, ruleKeys); got != want {
			t.Errorf("nearest(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"kitten", "sitting", 3}, {"port", "prot", 2}, {"same", "same", 0}} {
		if got := distance(tt.a, tt.b); got != tt.want {
			t.Errorf("distance(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}
