package portctl

import (
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/xdp-port/xdp-port/pkg/inspect"
	"github.com/xdp-port/xdp-port/test/node"
)

// TestHostileNames uses an interface with a name that controls a terminal. The tool must print
// it unchanged as data, and harmless everywhere else.
func TestHostileNames(t *testing.T) {
	n := node.ForTest(t)
	must(t, n.Conflist(conflist("lab", rewriteTo(7998))))
	c, err := n.Container()
	must(t, err)
	c.IfName = "e\u202e\u009b2J\x1b[m"
	_, err = c.Attach("lab")
	must(t, err)
	named := 0
	for _, args := range everyOutput(t, c) {
		if slices.Contains(args, "-w") || args[0] == "metrics" && len(args) == 1 {
			continue // the first has no end, the second prints escapes itself
		}
		out := portctl(t, n, args...)
		hostile := func(r rune) bool { return r != '\n' && r != '\t' && !unicode.IsPrint(r) }
		if text := out.stdout + out.stderr; strings.ContainsFunc(text, hostile) {
			t.Errorf("%v prints %q", args, text)
		} else if strings.Contains(text, `e\u202e\u009b2J`) {
			named++
		}
	}
	if named < 6 {
		t.Errorf("only %d outputs name the interface", named)
	}
	list := decodeList[inspect.Attachment](t, portctl(t, n, "list", "-o", "json").want(t, 0), "attachments")
	if len(list) != 1 || list[0].Interface != c.IfName {
		t.Errorf("the interface %q is %+v", c.IfName, list)
	}
	portctl(t, n, "show", "\u202e\x1b[2J").want(t, 1)
	if text := portctl(t, n, "show", "\u202e\x1b[2J").stderr; strings.ContainsAny(text, "\u202e\x1b") {
		t.Errorf("an error prints %q", text)
	}
}
