package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
)

// actAsPlugin has the test binary run main, with an ADD that panics.
const actAsPlugin = "XDP_PORT_TEST_PANICS"

func TestMain(m *testing.M) {
	if os.Getenv(actAsPlugin) != "" {
		verbs.Add = guarded("ADD", func(*skel.CmdArgs) error { panic("it burns") })
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestPanicsBecomeErrors has every verb dereference nil.
func TestPanicsBecomeErrors(t *testing.T) {
	for name, verb := range map[string]func(*skel.CmdArgs) error{
		"ADD": verbs.Add, "DEL": verbs.Del, "CHECK": verbs.Check, "GC": verbs.GC, "STATUS": verbs.Status,
	} {
		var refusal *types.Error
		if err := verb(nil); !errors.As(err, &refusal) || refusal.Code != types.ErrInternal {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestPanicIsAllThatIsPrinted looks at what a runtime gets to see of a panic.
func TestPanicIsAllThatIsPrinted(t *testing.T) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{
		actAsPlugin + "=1", "CNI_COMMAND=ADD", "CNI_CONTAINERID=a", "CNI_NETNS=/run/netns/a", "CNI_IFNAME=eth0", "CNI_PATH=/",
	}
	cmd.Stdin = strings.NewReader(`{"cniVersion": "1.1.0", "name": "lab", "type": "xdp-port"}`)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("it ended with %v", err)
	}
	var refusal types.Error
	if err := json.Unmarshal(stdout.Bytes(), &refusal); err != nil {
		t.Fatalf("stdout has %q: %v", stdout.Bytes(), err)
	}
	if refusal.Code != types.ErrInternal || !strings.Contains(refusal.Msg, "it burns") ||
		!strings.Contains(refusal.Details, "TestMain") {
		t.Errorf("the error is %+v", refusal)
	}
	if stderr.Len() > 0 {
		t.Errorf("stderr has %q", stderr.Bytes())
	}
}
