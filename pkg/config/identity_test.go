package config

import (
	"reflect"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
)

func TestParseIdentityOverlooksTheRest(t *testing.T) {
	for _, members := range []string{
		`"rules": 5`,
		`"rules": [{"port": 70000, "Port": null}], "mode": {}, "flows": "no"`,
		`"prevResult": 5, "runtimeConfig": {"xdpPortRules": [{}]}, "args": []`,
		`"ipam": 5, "dns": "x", "capabilities": []`,
		`"rules": [], "rules": []`,
	} {
		got, err := ParseIdentity([]byte(network(members)))
		if err != nil {
			t.Errorf("%s: %v", members, err)
			continue
		}
		if want := (&Identity{CNIVersion: "1.1.0", Name: "lab"}); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want %+v", members, got, want)
		}
	}
}

func TestParseIdentityToleratesAnyVersion(t *testing.T) {
	for _, stdin := range []string{`{"name": "lab"}`, `{"name": "lab", "cniVersion": null}`, `{"name": "lab", "cniVersion": 5}`} {
		if _, err := ParseIdentity([]byte(stdin)); err != nil {
			t.Errorf("%s: %v", stdin, err)
		}
	}
}

// TestValidAttachments has a missing list and an empty one, which mean the opposite to GC.
func TestValidAttachments(t *testing.T) {
	tests := []struct {
		name, members string
		want          []types.GCAttachment
	}{
		{"absent", `"a": 1`, nil},
		{"null", `"cni.dev/valid-attachments": null`, nil},
		{"empty", `"cni.dev/valid-attachments": []`, []types.GCAttachment{}},
		{
			"two", `"cni.dev/valid-attachments": [{"containerID": "a", "ifname": "eth0"}, {"containerID": "b", "ifname": "net1"}]`,
			[]types.GCAttachment{{ContainerID: "a", IfName: "eth0"}, {ContainerID: "b", IfName: "net1"}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseCollection([]byte(network(tt.members)))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got.ValidAttachments, tt.want) {
				t.Errorf("got %#v, want %#v", got.ValidAttachments, tt.want)
			}
		})
	}
}

func TestParseIdentityProblems(t *testing.T) {
	const not = ` is not an attachment, an object with "containerID" and "ifname"`
	for _, tt := range []refused{
		{"syntax", `{"name": }`, `line 1, column 10: invalid character '}' looking for beginning of value`},
		{"no object", `"lab"`, `configuration: "lab" is not an object: write the keys and values in { }`},
		{"no name", `{}`, `configuration: name is missing: give the network a name`},
		{
			"name a path", `{"name": ".."}`,
			`name: ".." is not a network name (letters, digits, _ . and -, beginning with a letter or digit)`,
		},
		{"no list", `{"name": "lab", "cni.dev/valid-attachments": {}}`, `["cni.dev/valid-attachments"]: {} is not a list of attachments`},
		{
			"no attachments", `{"name": "lab", "cni.dev/valid-attachments": [{}, null, {"containerID": "a"}, "a"]}`,
			`["cni.dev/valid-attachments"][0]: {}` + not + `; ["cni.dev/valid-attachments"][1]: null` + not +
				`; ["cni.dev/valid-attachments"][2]: {"containerID":"a"}` + not + `; ["cni.dev/valid-attachments"][3]: "a"` + not,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseCollection([]byte(tt.stdin))
			if err == nil || err.Error() != tt.want {
				t.Errorf("\n got %v\nwant %s", err, tt.want)
			}
		})
	}
}
