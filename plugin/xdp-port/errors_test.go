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

// actAsPlugin makes the test binary run main with an ADD that panics.
const actAsPlugin = "XDP_PORT_TEST_PANICS"

func TestMain(m *testing.M) {
	if os.Getenv(actAsPlugin) != "" {
		operations.Add = guarded("ADD", func(*skel.CmdArgs) error { panic("it burns") })
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestPanicsBecomeErrors makes every operation dereference nil.
func TestPanicsBecomeErrors(t *testing.T) {
	for name, operation := range map[string]func(*skel.CmdArgs) error{
		"ADD": operations.Add, "DEL": operations.Del, "CHECK": operations.Check, "GC": operations.GC, "STATUS": operations.Status,
	} {
		var refusal *types.Error
		if err := operation(nil); !errors.As(err, &refusal) || refusal.Code != types.ErrInternal {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestPanicIsAllThatIsPrinted reads the output of a panic as a runtime does.
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
