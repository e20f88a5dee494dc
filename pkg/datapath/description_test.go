package datapath_test

import (
	"errors"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/internal/bpftest"
	"github.com/xdp-port/xdp-port/pkg/pin"
	"github.com/xdp-port/xdp-port/pkg/rules"
	"github.com/xdp-port/xdp-port/pkg/veth"
)

// describedRules are those of testdata/description-1.json.
func describedRules() *datapath.Ruleset {
	ports := func(first, last uint16) rules.PortRange { return rules.PortRange{First: first, Last: last} }
	return &datapath.Ruleset{
		Mode: datapath.Native, Flows: 65536, NetNS: veth.NetNS{Inode: 4026532344, Cookie: 24252},
		Rules: []rules.Rule{
			{
				Name: "dns", Protocol: rules.UDP, Ports: ports(7999, 7999), To: ports(7998, 7998),
				Peers: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/64")},
			},
			{Name: "mail", Protocol: rules.TCP, Ports: ports(25, 25), Action: rules.Drop},
			{Name: "ssh", Direction: rules.Ingress, Protocol: rules.TCP, Ports: ports(22, 22), Action: rules.Pass},
			{Name: "web", Direction: rules.Ingress, Protocol: rules.TCP, Ports: ports(80, 81), To: ports(8080, 8080), OneWay: true},
		},
	}
}

// TestDescriptionOfSchema1 reads the description of a build before.
func TestDescriptionOfSchema1(t *testing.T) {
	text, err := os.ReadFile("testdata/description-1.json")
	if err != nil {
		t.Fatal(err)
	}
	dir := datapath.Dir(bpftest.BPFFS(t))
	bpftest.PinText(t, string(dir), "description", string(text))
	want := &datapath.Description{Ruleset: *describedRules(), ChecksumHelper: true}
	if got, err := dir.Description(); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v, %v, want %+v", got, err, want)
	}
}

// TestDescriptionIsWords writes a description, and reads it again.
func TestDescriptionIsWords(t *testing.T) {
	dir := datapath.Dir(bpftest.BPFFS(t))
	want := &datapath.Description{Ruleset: *describedRules()}
	if err := new(datapath.Programs).PinDescription(dir, &want.Ruleset); err != nil {
		t.Fatal(err)
	}
	if got, err := dir.Description(); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v, %v, want %+v", got, err, want)
	}
	text := bpftest.PinnedText(t, string(dir), "description")
	for _, member := range []string{
		`"schemaVersion":2`, `"mode":"native"`, `"direction":"ingress"`, `"protocol":"udp"`, `"action":"pass"`,
	} {
		if !strings.Contains(text, member) {
			t.Errorf("%s is not in %s", member, text)
		}
	}
}

// TestForeignDescriptions reads descriptions with values that this build does not know, of
// a newer schema and of its own.
func TestForeignDescriptions(t *testing.T) {
	const rule = `"flows":1024,"rules":[{"name":"a","direction":"ingress","protocol":"sctp","action":"teleport"}]}`
	for text, want := range map[string]error{
		`{"schemaVersion":3,` + rule:                                   pin.ErrNewer,
		`{"schemaVersion":2,` + rule:                                   pin.ErrUnreadable,
		`{"schemaVersion":2,"rules":[{"direction":3,"protocol":6}]}`:   pin.ErrUnreadable,
		`{"rules":[{"protocol":6,"action":9}]}`:                        pin.ErrUnreadable,
		`{"rules":[{"protocol":132}]}`:                                 pin.ErrUnreadable,
		`{"mode":"quantum"}`:                                           pin.ErrUnreadable,
		`{"schemaVersion":9,"mode":{"a":1},"rules":{},"flows":"1024"}`: pin.ErrNewer,
	} {
		dir := datapath.Dir(bpftest.BPFFS(t))
		bpftest.PinText(t, string(dir), "description", text)
		got, err := dir.Description()
		if !errors.Is(err, want) || (got != nil) != errors.Is(want, pin.ErrNewer) {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
		if got != nil && len(got.Rules) > 0 && (got.Rules[0].Direction != rules.Ingress || !strings.HasPrefix(got.Rules[0].Action.String(), "unknown")) {
			t.Errorf("%s: %+v", text, got)
		}
	}
}

// TestUnknownMode has String not panic.
func TestUnknownMode(t *testing.T) {
	if word := datapath.Mode(99).String(); word != "unknown" {
		t.Errorf("mode 99 is %q", word)
	}
}
