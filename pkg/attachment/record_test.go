package attachment

import (
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/hook"
	"github.com/xdp-port/xdp-port/pkg/internal/bpftest"
	"github.com/xdp-port/xdp-port/pkg/pin"
	"github.com/xdp-port/xdp-port/pkg/veth"
)

var (
	fixtureDevice = hook.Device{Index: 7, Name: "veth4f2a1c", Address: "aa:64:8f:d9:0f:f8", Serial: 2767590}
	fixtureNetNS  = veth.NetNS{Inode: 4026532344, Cookie: 24252}
	fixtureRules  = json.RawMessage(`[{"name":"mine","protocol":"udp","port":9,"action":"drop"}]`)
)

const (
	fixtureID   = 14078118816934414926
	fixtureFrom = "eeeb0ee36aa82eec42bbac5ee279de15"
)

// fixture returns a document as a build of schema version 1 wrote it.
func fixture(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name + "-1.json")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func fixtureRecord() *Record {
	return &Record{
		Owner: "lab/c1/eth0", Device: fixtureDevice, ID: fixtureID, NetNS: fixtureNetNS,
		Mode: datapath.TC, Hook: hook.Clsact, OwnsQdisc: true,
		AttachedAt: time.Date(2026, 11, 29, 20, 52, 6, 79150037, time.UTC),
		Accumulated: &datapath.Counters{
			Passed: 1, Rewritten: 2, Dropped: 3, RepliesRestored: 4, ICMPErrorsRestored: 5, Malformed: 6,
			PortsMoved: 7, PortsExhausted: 8, FlowsEvicted: 9, FlowsEvictedLive: 10,
			Rules: []datapath.RuleCounter{{Packets: 11, Bytes: 12}, {Packets: 13, Bytes: 14}},
		},
		AccumulatedFrom: fixtureFrom, ContainerRules: fixtureRules,
	}
}

// TestRecordOfSchema1 reads the record of a build before, and writes it again.
func TestRecordOfSchema1(t *testing.T) {
	folder := Folder(bpftest.BPFFS(t))
	bpftest.PinText(t, string(folder), pinRecord, fixture(t, "record"))
	want := fixtureRecord()
	if got, err := folder.Record(); err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("read %+v, %v, want %+v", got, err, want)
	}
	want.Device.Name = "veth0"
	if err := folder.Rename(want.Device); err != nil {
		t.Fatal(err)
	}
	if got, err := folder.Record(); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v, %v, want %+v", got, err, want)
	}
	text := bpftest.PinnedText(t, string(folder), pinRecord)
	for _, member := range []string{`"schemaVersion":2`, `"mode":"tc"`, `"hook":"clsact"`, `"name":"veth0"`} {
		if !strings.Contains(text, member) {
			t.Errorf("%s is not in %s", member, text)
		}
	}
}

// TestKeptOfSchema1 reads what a build before kept of an attachment that it took off.
func TestKeptOfSchema1(t *testing.T) {
	folder := Folder(bpftest.BPFFS(t))
	bpftest.PinText(t, string(folder), pinKept, fixture(t, "record"))
	if got, err := folder.Kept(); err != nil || !reflect.DeepEqual(got, fixtureRecord()) {
		t.Errorf("read %+v, %v", got, err)
	}
}

// TestIntentOfSchema1 reads the intent of a build before, and writes it again.
func TestIntentOfSchema1(t *testing.T) {
	folder := Folder(bpftest.BPFFS(t))
	bpftest.PinText(t, string(folder), "exchange", fixture(t, "intent"))
	want := &Intent{
		Owner: "lab/c1/eth0", Device: fixtureDevice, NetNS: fixtureNetNS, ID: fixtureID, From: fixtureFrom, ContainerRules: fixtureRules,
	}
	for range 2 {
		got, err := folder.Intent()
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("read %+v, %v, want %+v", got, err, want)
		}
		if err := want.Pin(folder); err != nil {
			t.Fatal(err)
		}
	}
}

// newerRecord has a mode that this build does not know, and a hook that is no word.
const newerRecord = `{"schemaVersion":3,"owner":"lab/c1/eth0","device":{"index":7,"name":"veth4f2a1c"},` +
	`"mode":"quantum","hook":{"kind":"tcx"},"id":5}`

// TestNewerRecord has a newer version attach a container: what reads it says so, nothing
// changes the record, and the attachment can be taken off.
func TestNewerRecord(t *testing.T) {
	folder := Folder(bpftest.BPFFS(t))
	bpftest.PinText(t, string(folder), pinRecord, newerRecord)
	record, err := folder.Record()
	if !errors.Is(err, pin.ErrNewer) || record == nil || record.Owner != "lab/c1/eth0" || record.Device.Index != 7 {
		t.Fatalf("read %+v, %v", record, err)
	}
	if IsNoRecord(err) {
		t.Error("it counts as no record")
	}
	if record.Mode.String() != "unknown" {
		t.Errorf("its mode is %s", record.Mode)
	}
	const words = "written by a newer version of xdp-port"
	health := NewExaminer(fixtureNetNS).Examine(folder, "")
	if health.Gone || len(health.Problems) != 1 || !strings.Contains(health.Problems[0], words) || health.Device.Name != "veth4f2a1c" {
		t.Errorf("its health is %+v", health)
	}
	err = folder.Verify("", fixtureDevice, &datapath.Ruleset{}, hook.AutoHook)
	if !errors.Is(err, ErrDiffers) || !strings.Contains(err.Error(), words) {
		t.Errorf("verified: %v", err)
	}
	if err := folder.Rename(fixtureDevice); !errors.Is(err, pin.ErrNewer) {
		t.Errorf("renamed: %v", err)
	}
	if text := bpftest.PinnedText(t, string(folder), pinRecord); text != newerRecord {
		t.Errorf("the record is %s now", text)
	}
	if err := folder.Detach(); err != nil {
		t.Error(err)
	}
	if _, err := folder.Record(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its record is still there: %v", err)
	}
}

// TestNewerIntent is left to the version that wrote it.
func TestNewerIntent(t *testing.T) {
	folder := Folder(bpftest.BPFFS(t))
	bpftest.PinText(t, string(folder), pinIntent, `{"schemaVersion":3,"owner":"lab/c1/eth0"}`)
	if intent, err := folder.Intent(); !errors.Is(err, pin.ErrNewer) || IsNoRecord(err) {
		t.Errorf("read %+v, %v", intent, err)
	}
}

// TestUnknownMode has a record of this schema name a mode that does not exist.
func TestUnknownMode(t *testing.T) {
	for _, mode := range []string{`"quantum"`, "9"} {
		folder := Folder(bpftest.BPFFS(t))
		bpftest.PinText(t, string(folder), pinRecord, `{"owner":"lab/c1/eth0","mode":`+mode+`}`)
		if record, err := folder.Record(); !errors.Is(err, pin.ErrUnreadable) || !IsNoRecord(err) {
			t.Errorf("mode %s: %+v, %v", mode, record, err)
		}
	}
}
