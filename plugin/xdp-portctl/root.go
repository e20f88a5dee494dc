package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/build"
	"github.com/xdp-port/xdp-port/pkg/printable"
)

// Exit codes.
const (
	exitFine  = 0
	exitWrong = 1
	exitUsage = 2
)

// errFound makes a command exit with 1 where its output has said all there is
// to say.
var errFound = errors.New("something is wrong")

// failed is what a command came back with, as against what cobra found wrong
// with its arguments.
type failed struct{ error }

func (f failed) Unwrap() error { return f.error }

// tool is what all commands have in common.
type tool struct {
	in     io.Reader
	out    *printer
	err    io.Writer
	format string
}

// run is main, with everything that it touches as a parameter.
func run(args []string, in io.Reader, out, errs io.Writer) int {
	ends := []os.Signal{unix.SIGINT, unix.SIGTERM}
	if !signal.Ignored(unix.SIGHUP) { // by nohup
		ends = append(ends, unix.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), ends...)
	defer stop()
	// A pipe that is closed is an error to end by, in order, and not a death: a
	// trace that dies keeps others from tracing for a while.
	signal.Ignore(unix.SIGPIPE)
	t := &tool{in: in, out: newPrinter(out), err: newPrinter(errs)}
	if t.coloured() {
		t.out.clean = printable.Coloured
	}
	root := t.root()
	root.SetArgs(args)
	command, err := root.ExecuteContextC(ctx)
	return t.report(command, err)
}

// report says what went wrong, and returns the exit code. A reader that has seen
// enough, as head has, is no error.
func (t *tool) report(command *cobra.Command, err error) int {
	if err == nil && t.out.failure != nil {
		err = t.out.failure
	}
	var mine failed
	switch {
	case err == nil:
		return exitFine
	case errors.Is(err, errFound):
		return exitWrong
	case isClosedPipe(err):
		return exitFine
	case !errors.As(err, &mine) && t.out.failure == nil:
		fmt.Fprintf(t.err, "xdp-portctl: %v\nSee '%s --help'.\n", err, command.CommandPath())
		return exitUsage
	case errors.Is(err, os.ErrPermission) && os.Geteuid() != 0:
		fmt.Fprintf(t.err, "xdp-portctl: %v\nOnly root may look at bpffs and the kernel's programs: run it with sudo.\n", err)
	default:
		fmt.Fprintf(t.err, "xdp-portctl: %v\n", err)
	}
	return exitWrong
}

func (t *tool) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "xdp-portctl",
		Short: "See, watch, trace and change what xdp-port does to containers' ports",
		Long: `xdp-portctl shows what the CNI plugin xdp-port has attached on this node, what
becomes of containers' packets, and changes the rules of running containers.

All it says comes from bpffs and the kernel. It exits with 0 where all is well,
1 where something is wrong, and 2 where it was called in a wrong way.`,
		Version:       build.Read().String(),
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRunE: func(command *cobra.Command, _ []string) error {
			if !slices.Contains(formats, t.format) {
				return fmt.Errorf("-o %s: there is %s", shorten(t.format), strings.Join(formats, ", "))
			}
			if t.wantsJSON() {
				t.out.clean = printable.JSON
			}
			return checkFlags(command)
		},
	}
	root.SetIn(t.in)
	root.SetOut(t.out) // before there is a command for completion, which keeps it
	root.SetErr(t.err)
	root.SetFlagErrorFunc(explainFlag)
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.PersistentFlags().StringVarP(&t.format, "output", "o", formatTable, "how to print data: table, wide or json")
	_ = root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
	root.AddGroup(
		&cobra.Group{ID: groupSee, Title: "See:"},
		&cobra.Group{ID: groupChange, Title: "Change:"},
		&cobra.Group{ID: groupCheck, Title: "Check:"},
		&cobra.Group{ID: groupNode, Title: "Install:"},
	)
	t.add(root, groupSee, t.list(), t.show(), t.stats(), t.trace(), t.flows(), t.metrics())
	t.add(root, groupChange, t.apply(), t.gc())
	t.add(root, groupCheck, t.validate(), t.test(), t.doctor())
	t.add(root, groupNode, t.install(), t.uninstall(), t.agent())
	t.add(root, "", t.docs(), t.version())
	refuseUnknownWords(root)
	return root
}

// refuseUnknownWords has the commands that are cobra's own refuse what they do
// not know, as the others do: by themselves they print their help, as if all were
// well.
func refuseUnknownWords(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	root.InitDefaultHelpCmd()
	for _, command := range root.Commands() {
		switch command.Name() {
		case "completion":
			command.RunE = func(command *cobra.Command, _ []string) error { return command.Help() }
		case "help":
			command.Args = func(_ *cobra.Command, args []string) error {
				_, _, err := root.Find(args)
				return err
			}
		}
	}
}

// The groups of commands in the help.
const (
	groupSee    = "see"
	groupChange = "change"
	groupCheck  = "check"
	groupNode   = "node"
)

// asRoot refuses commands that look into the state to others: what they may not
// see would look like a node where nothing is attached.
func asRoot(group string) error {
	if (group == groupSee || group == groupChange || group == groupNode) && os.Geteuid() != 0 {
		return fmt.Errorf("user %d: %w", os.Geteuid(), os.ErrPermission)
	}
	return nil
}

// add adds commands, and marks their errors as no mistakes of the caller.
func (t *tool) add(root *cobra.Command, group string, commands ...*cobra.Command) {
	for _, command := range commands {
		command.GroupID = group
		checkArguments(command)
		work := command.RunE
		command.RunE = func(command *cobra.Command, args []string) error {
			if err := asRoot(group); err != nil {
				return failed{err}
			}
			if err := work(command, args); err != nil {
				return failed{err}
			}
			return nil
		}
		root.AddCommand(command)
	}
}
