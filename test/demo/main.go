// Demo shows where a container's datagrams to port 7999 arrive before ADD, under the
// rule, and after DEL. It exits with 1 if one arrives at another port.
package main

import (
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/xdp-port/xdp-port/test/node"
)

func main() {
	full := flag.Bool("full", false, "show each command of the operator's tool, too")
	flag.Parse()
	if err := node.Sweep(); err != nil {
		fail(err)
	}
	node.CloseOnSignal()
	if err := demo(*full); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "the demo failed:", err)
	os.Exit(1)
}

func demo(full bool) (err error) {
	found := node.State()
	n, err := node.New()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.Close(), found.Unchanged()) }()
	s, err := setStage(n, found)
	if err != nil {
		return err
	}
	defer s.inbox.Close()
	acts := []func() error{s.before, s.during, s.after}
	if full {
		acts = append(acts, s.secondAct)
	}
	for _, act := range acts {
		if err := act(); err != nil {
			return err
		}
	}
	return nil
}

// story is what the acts share.
type story struct {
	node  *node.Node
	inbox *inbox
	found node.Snapshot // the state before the demo
}

const conflist = "conf/10-bridge.conflist"

// setStage makes the networks: the sample conflist, and the same without xdp-port.
func setStage(n *node.Node, found node.Snapshot) (*story, error) {
	say(`
xdp-port demo: three network namespaces

  container eth0 ── host-side veth [ node ] ── [ far ]  listens on UDP 7999 and UDP 7998`)
	path, err := repositoryFile(conflist)
	if err != nil {
		return nil, err
	}
	if err := n.ConflistFile(path); err != nil {
		return nil, err
	}
	if err := n.ConflistWithout(path, "xdp-port", "plain"); err != nil {
		return nil, err
	}
	// The far side verifies the checksums, which this link then has to complete.
	if err := node.SetTxOffload(n.NS, node.ToFar, false); err != nil {
		return nil, err
	}
	inbox, err := listen(n.Far, 7999, 7998)
	return &story{node: n, inbox: inbox, found: found}, err
}

// repositoryFile finds a file next to the bin folder.
func repositoryFile(name string) (string, error) {
	bin, err := node.BinDir()
	return filepath.Join(filepath.Dir(bin), name), err
}

func (s *story) before() error {
	say("\n1. Before: cnitool add plain (bridge only)")
	return s.withContainer("plain", func(c *node.Container) error {
		return s.send(c, 7999)
	})
}

func (s *story) during() error {
	say("\n2. ADD: cnitool add lab (%s: bridge, then xdp-port with udp 7999 -> 7998)", conflist)
	return s.withContainer("lab", func(c *node.Container) error {
		if err := s.send(c, 7998); err != nil {
			return err
		}
		return errors.Join(s.showAttachments(c), s.tool(0, "show", c.ID()[:12]))
	})
}

func (s *story) after() error {
	say("\n3. DEL: cnitool del lab has run; cnitool add plain again")
	if err := s.found.Unchanged(); err != nil {
		return err
	}
	say("   bpffs holds nothing of this container any more")
	return s.withContainer("plain", func(c *node.Container) error {
		return s.send(c, 7999)
	})
}

// withContainer attaches a container to a network during an act.
func (s *story) withContainer(network string, act func(*node.Container) error) error {
	c, err := s.node.Container()
	if err != nil {
		return err
	}
	if _, err := c.Attach(network); err != nil {
		return err
	}
	return errors.Join(act(c), c.Detach(network))
}

// send sends datagrams to port 7999 and expects all of them at another port.
func (s *story) send(c *node.Container, want int) error {
	for _, address := range []string{node.FarIPv4, node.FarIPv6} {
		to := netip.AddrPortFrom(netip.MustParseAddr(address), 7999)
		arrived, err := s.inbox.expect(c.NS, to, 3)
		if err != nil {
			return err
		}
		say("   %-15s 3 datagrams to port 7999 arrived at %s", address, arrived)
		if want := fmt.Sprintf("port %d: 3", want); arrived != want {
			return fmt.Errorf("datagrams to %s arrived at %s, should be at %s", to, arrived, want)
		}
	}
	return nil
}

func say(format string, args ...any) {
	fmt.Println(strings.TrimPrefix(fmt.Sprintf(format, args...), "\n\n"))
}
