package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/containernetworking/cni/libcni"
	"github.com/spf13/cobra"

	"github.com/xdp-port/xdp-port/pkg/config"
	"github.com/xdp-port/xdp-port/pkg/install"
)

// conflist is a file with a network's configuration.
type conflist struct {
	*config.List
	path string
	// text is the network as runtimes make it: with its drop-ins.
	text []byte
	// inlined knows where parts of text come from.
	inlined config.Inlined
}

// read reads a configuration from a file, or stdin for "-". Returns a
// *config.Error if it has mistakes.
func (t *tool) read(ctx context.Context, path string) (*conflist, error) {
	c := &conflist{path: path}
	var err error
	if path == "-" {
		c.path = "stdin"
		c.text, err = interruptible(ctx, c.path, func() ([]byte, error) { return readText(c.path, t.in) })
	} else {
		c.text, err = readFile(ctx, path)
	}
	if err != nil {
		return nil, err
	}
	if path != "-" {
		dropIns, err := install.ReadDropIns(path, c.text)
		if err != nil {
			return nil, err
		}
		c.inlined = config.Inline(c.text, dropIns)
		c.text = c.inlined.Text
	}
	return c, c.parse()
}

// parse reads the text. Returns a *config.Error if it has mistakes.
func (c *conflist) parse() (err error) {
	if c.List, err = config.ParseList(c.text); err != nil {
		return err
	}
	return c.check()
}

// check looks for what the parser cannot say a line of: what CNI's own library
// refuses.
func (c *conflist) check() error {
	if len(c.Entries) == 0 || c.Entries[0].Index == 0 {
		return nil
	}
	if _, err := libcni.ConfListFromBytes(c.text); err != nil {
		return &config.Error{Mistakes: []config.Mistake{refusedByCNI(err)}}
	}
	return nil
}

// network returns the entry that is in force: of several the last.
func (c *conflist) network() *config.Entry { return &c.Entries[len(c.Entries)-1] }

// readValid is read for who has no use for mistakes but to print them.
func (t *tool) readValid(ctx context.Context, path string) (*conflist, error) {
	c, err := t.read(ctx, path)
	var mistakes *config.Error
	if errors.As(err, &mistakes) {
		for _, line := range c.lines("error", mistakes) {
			fmt.Fprintln(t.err, line)
		}
		return nil, errFound
	}
	return c, err
}

// lines describes each mistake, and says how many more there are.
func (c *conflist) lines(kind string, e *config.Error) []string {
	var lines []string
	for _, m := range e.Mistakes {
		lines = append(lines, c.describe(kind, m))
	}
	if e.More > 0 {
		lines = append(lines, fmt.Sprintf("%s: and %d more", c.path, e.More))
	}
	return lines
}

// locateAll puts the lines that describe each mistake in the place of an error.
func (c *conflist) locateAll(err error) error {
	var mistakes *config.Error
	if !errors.As(err, &mistakes) {
		return err
	}
	return errors.New(strings.Join(c.lines("error", mistakes), "\n"))
}

// describe says where a mistake is, as compilers do, and what it is.
func (c *conflist) describe(kind string, m config.Mistake) string {
	path, place := c.locate(m.At)
	at := fmt.Sprintf("%s:%d:%d: %s: ", path, place.Line, place.Column, kind)
	if m.Place == m.At.String() {
		return at + m.Problem
	}
	return at + m.String()
}

// locate returns the file that a place in the text is in, and the place there.
func (c *conflist) locate(at config.Position) (path string, place config.Position) {
	if path, place = c.inlined.Locate(at); path == "" {
		path = c.path
	}
	return path, place
}

// completeConflist completes names of files in the shell.
func completeConflist(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return []string{"conflist", "conf", "json"}, cobra.ShellCompDirectiveFilterFileExt
}
