package conformance

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/xdp-port/xdp-port/test/node"
)

// run makes a call and checks its answer: stdout must contain the result or the error
// and nothing else, and stderr must be empty.
func run(t *testing.T, n *node.Node, call node.Call) *node.Answer {
	t.Helper()
	answer, err := n.Call(call)
	must(t, err)
	if len(answer.Stderr) > 0 {
		t.Errorf("%s wrote to stderr: %s", call.Operation, answer.Stderr)
	}
	values := 0
	if answer.Refusal != nil || call.Operation == "ADD" || call.Operation == "VERSION" {
		values = 1
	}
	if got := countValues(t, answer.Stdout); got != values {
		t.Errorf("%s has %d JSON values on stdout, should have %d: %s", call.Operation, got, values, answer.Stdout)
	}
	return answer
}

// countValues counts the JSON values. It fails the test if there is anything else.
func countValues(t *testing.T, stdout []byte) (count int) {
	t.Helper()
	for decoder := json.NewDecoder(bytes.NewReader(stdout)); ; count++ {
		var value map[string]any
		err := decoder.Decode(&value)
		if err == io.EOF {
			return count
		}
		if err != nil {
			t.Fatalf("stdout has %q: %v", stdout, err)
		}
	}
}

// succeed makes a call that must succeed.
func succeed(t *testing.T, n *node.Node, call node.Call) *node.Answer {
	t.Helper()
	answer := run(t, n, call)
	if answer.Refusal != nil {
		t.Fatalf("%s failed with code %d: %s", call.Operation, answer.Refusal.Code, answer.Refusal)
	}
	return answer
}

// fail makes a call that must fail with the code, and with a message that contains the
// parts.
func fail(t *testing.T, n *node.Node, call node.Call, code uint, parts ...string) {
	t.Helper()
	refusal := run(t, n, call).Refusal
	if refusal == nil {
		t.Fatalf("%s succeeded, should fail with code %d", call.Operation, code)
	}
	if refusal.Code != code {
		t.Errorf("the code of %s is %d, should be %d: %s", call.Operation, refusal.Code, code, refusal)
	}
	for _, part := range parts {
		if !strings.Contains(refusal.Msg, part) {
			t.Errorf("the message %q lacks %q", refusal.Msg, part)
		}
	}
}

// inShell returns a command that runs the plugin after a preparation, in its own mount
// namespace.
func inShell(preparation string) []string {
	return []string{"unshare", "--mount", "sh", "-c", preparation + ` && exec "$0"`}
}
