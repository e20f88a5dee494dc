package kubernetes

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cilium/ebpf"
)

// testUpgrade replaces the image by one with other programs in the kernel, and goes back, while pods talk.
func (c *cluster) testUpgrade() {
	n := c.nodes[0]
	c.talk("busy", "1ms")
	c.upgrade(n, "next", filepath.Join(c.bin, "next"))
	c.stillTalks("talker", "talker2", "busy")
	c.upgrade(n, "latest", c.bin)
	c.works(n)
	c.stillTalks("talker", "talker2", "busy")
	c.remove("busy")
}

// upgrade replaces the image. Each running pod must get the new programs, the old ones must be unloaded, and
// pods that start meanwhile must have rules.
func (c *cluster) upgrade(n *node, tag, built string) {
	c.Helper()
	before := n.list()
	if pods := 5; len(before) < pods {
		c.Fatalf("%d pods are attached, want %d: %v", len(before), pods, before)
	}
	wasMissing := n.watchConflist()
	image := nodeImage + ":" + tag
	c.kubectl("-n", "xdp-port", "set", "image", "daemonset/xdp-port", "install="+image, "agent="+image)
	c.rolledOut()
	start := time.Now()
	c.eventually("running pods have the programs of "+image, func() error { return n.replaced(before) })
	c.Logf("running pods have the programs of %s %s after the roll-out", image, time.Since(start).Round(100*time.Millisecond))
	if text := wasMissing(); text != "" {
		c.Errorf("new pods had no rules for a while: %s", text)
	}
	for _, name := range []string{"xdp-port", "xdp-portctl"} {
		want, err := os.ReadFile(filepath.Join(built, name))
		c.must(err)
		if now, err := os.ReadFile(n.m.File("/opt/cni/bin/" + name)); err != nil || !bytes.Equal(now, want) {
			c.Errorf("%s on the node is not that of %s (%v)", name, image, err)
		}
	}
}

// watchConflist reads the conflist continuously. stop returns what it contained when xdp-port was missing.
func (n *node) watchConflist() (stop func() string) {
	path, done, missing := n.m.File(conflistPath), make(chan struct{}), make(chan string, 1)
	go func() {
		defer close(missing)
		for {
			text, err := os.ReadFile(path)
			if err != nil || !strings.Contains(string(text), `"xdp-port"`) {
				missing <- fmt.Sprint(string(text), err)
				return
			}
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	return func() string {
		close(done)
		return <-missing
	}
}

// attachment is an attachment in the list of xdp-portctl.
type attachment struct {
	Container, Ruleset string
	Programs           []struct {
		Hook string
		ID   ebpf.ProgramID
	}
}

// list expects all attachments to be healthy.
func (n *node) list() []attachment {
	n.c.Helper()
	out := n.run("/opt/cni/bin/xdp-portctl", "list", "-o", "json")
	var document struct{ Attachments []attachment }
	n.c.must(json.Unmarshal([]byte(out), &document))
	return document.Attachments
}

// replaced expects other programs for each earlier attachment, and the old ones to be unloaded.
func (n *node) replaced(before []attachment) error {
	now := n.list()
	for _, old := range before {
		at := slices.IndexFunc(now, func(a attachment) bool { return a.Container == old.Container })
		if at < 0 {
			return fmt.Errorf("%s is not attached any more: %v", old.Container, now)
		}
		if now[at].Ruleset == old.Ruleset {
			return fmt.Errorf("%s has the old ruleset still: %v", old.Container, now[at])
		}
		if len(now[at].Programs) != len(old.Programs) {
			return fmt.Errorf("%s has %v, and had %v", old.Container, now[at].Programs, old.Programs)
		}
		if err := n.unloaded(old); err != nil {
			return err
		}
	}
	return nil
}

// unloaded expects nothing to be left of a ruleset and its programs.
func (n *node) unloaded(old attachment) error {
	if _, err := os.Stat(n.m.File("/sys/fs/bpf/xdp-port/rulesets/" + old.Ruleset)); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("the ruleset %s is there still (%w)", old.Ruleset, err)
	}
	for _, p := range old.Programs {
		program, err := ebpf.NewProgramFromID(p.ID)
		if err == nil {
			program.Close()
			return fmt.Errorf("the program %d of %s is loaded still, at %s", p.ID, old.Ruleset, p.Hook)
		}
		if !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}
