package inspect

import (
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/xdp-port/xdp-port/pkg/rules"
)

func TestContainerByTheBeginningOfItsID(t *testing.T) {
	list := []Attachment{
		{Container: "abc1", Interface: "eth0"},
		{Container: "abc1", Interface: "eth1"},
		{Container: "abc", Interface: "eth0"},
		{Container: "abd", Interface: "eth0"},
	}
	for prefix, want := range map[string]int{"abc": 1, "abc1": 2, "abd": 1} {
		if found, err := Container(list, prefix); err != nil || len(found) != want {
			t.Errorf("%s: %v, %v", prefix, found, err)
		}
	}
	var ambiguous *AmbiguousError
	if _, err := Container(list, "ab"); !errors.As(err, &ambiguous) || !slices.Equal(ambiguous.Containers, []string{"abc", "abc1", "abd"}) {
		t.Errorf("ab: %v", err)
	}
	if _, err := Container(list, "x"); !errors.Is(err, ErrNotFound) {
		t.Errorf("x: %v", err)
	}
}

func TestRuleInWords(t *testing.T) {
	peers := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for want, rule := range map[string]rules.Rule{
		"egress udp 53 -> 5353 to 10.0.0.0/8, fd00::/8": {Protocol: rules.UDP, Ports: rules.PortRange{First: 53, Last: 53}, To: rules.PortRange{First: 5353, Last: 5353}, Peers: peers},
		"ingress tcp 80-81 -> 8080-8081 one way":        {Direction: rules.Ingress, Protocol: rules.TCP, Ports: rules.PortRange{First: 80, Last: 81}, To: rules.PortRange{First: 8080, Last: 8081}, OneWay: true},
		"ingress tcp every port drop from 10.0.0.0/8":   {Direction: rules.Ingress, Protocol: rules.TCP, Ports: rules.EveryPort, Action: rules.Drop, Peers: peers[:1]},
	} {
		got := RuleOf(3, &rule)
		if got.String() != want {
			t.Errorf("got %q, want %q", got, want)
		}
		text, err := json.Marshal(got)
		var back Rule
		if err := errors.Join(err, json.Unmarshal(text, &back)); err != nil || back.String() != want {
			t.Errorf("%s became %q, %v", text, back, err)
		}
	}
}

// TestOneWordForEachVerdict checks that counters are named after verdicts.
func TestOneWordForEachVerdict(t *testing.T) {
	text, err := json.Marshal(Counters{})
	counted := map[string]uint64{}
	if err := errors.Join(err, json.Unmarshal(text, &counted)); err != nil {
		t.Fatal(err)
	}
	for _, beside := range []string{"portsMoved", "portsExhausted", "flowsEvicted", "flowsEvictedLive"} {
		delete(counted, beside)
	}
	if len(counted) != len(Verdicts) || len((&Counters{}).ByVerdict()) != len(Verdicts) {
		t.Errorf("%v, %v and %v are of different length", counted, Verdicts, (&Counters{}).ByVerdict())
	}
	for _, verdict := range Verdicts {
		if _, has := counted[verdict.String()]; !has {
			t.Errorf("%s is not among %s", verdict, text)
		}
	}
}

func TestRates(t *testing.T) {
	var s Sampler
	at := func(packets ...uint64) []Attachment {
		var list []Attachment
		for i, count := range packets {
			list = append(list, Attachment{
				Container: string(rune('a' + i)), Counters: &Counters{Rewritten: count},
				Rules: []Rule{{Name: "r", Packets: count, Bytes: count * 100}},
			})
		}
		return list
	}
	start := time.Unix(1000, 0)
	if first := s.Sample(at(10, 20), start); first.Seconds != 0 || first.Attachments[0].PacketRate != 0 || first.Total.Rewritten != 30 {
		t.Errorf("%+v", first)
	}
	// a continues, b was attached again, c is new.
	second := s.Sample(at(30, 5, 7), start.Add(2*time.Second))
	second.Sort(ByRate)
	if c := second.Attachments; c[0].Container != "a" || c[0].PacketRate != 10 || c[0].RewrittenRate != 10 ||
		c[1].Container != "c" || c[1].PacketRate != 0 || c[2].PacketRate != 0 {
		t.Errorf("%+v", c)
	}
	if r := second.Rules[0]; r.PacketRate != 10 || r.ByteRate != 1000 {
		t.Errorf("%+v", r)
	}
	second.Sort(ByName)
	if second.Attachments[1].Container != "b" {
		t.Errorf("%+v", second.Attachments)
	}
}
