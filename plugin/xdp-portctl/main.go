// xdp-portctl is the operator's tool of xdp-port: it shows attachments and what happens to
// packets, and changes the rules of running containers.
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
	"github.com/xdp-port/xdp-port/pkg/cli"
	"github.com/xdp-port/xdp-port/pkg/terminal"
)

// Exit codes.
const (
	exitFine  = 0
	exitWrong = 1
	exitUsage = 2
)

// failed is an error of a command's work, as opposed to an error in its arguments.
type failed struct{ error }

func (f failed) Unwrap() error { return f.error }

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is main with the environment as parameters.
func run(args []string, in io.Reader, out, errs io.Writer) int {
	ends := []os.Signal{unix.SIGINT, unix.SIGTERM}
	if !signal.Ignored(unix.SIGHUP) { // by nohup
		ends = append(ends, unix.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), ends...)
	defer stop()
	// Handle a closed pipe as an error. A trace that dies of the signal keeps others from
	// tracing for a while.
	signal.Ignore(unix.SIGPIPE)
	t := &tool{in: in, out: terminal.NewPrinter(out), err: terminal.NewPrinter(errs)}
	t.out.KeepColours()
	root := t.root()
	root.SetArgs(args)
	command, err := root.ExecuteContextC(ctx)
	return t.report(command, err)
}

// report prints the error and returns the exit code. It is no error if the reader of stdout
// has seen enough, as head has.
func (t *tool) report(command *cobra.Command, err error) int {
	if err == nil {
		err = t.out.Err()
	}
	var mine failed
	switch {
	case err == nil:
		return exitFine
	case errors.Is(err, errFound):
		return exitWrong
	case terminal.IsClosedPipe(err):
		return exitFine
	case !errors.As(err, &mine) && t.out.Err() == nil:
		fmt.Fprintf(t.err, "xdp-portctl: %v\nSee '%s --help'.\n", err, command.CommandPath())
		return exitUsage
	case errors.Is(err, os.ErrPermission) && os.Geteuid() != 0:
		fmt.Fprintf(t.err, "xdp-portctl: %v\nOnly root may read bpffs and the kernel's programs: run it with sudo.\n", err)
	default:
		fmt.Fprintf(t.err, "xdp-portctl: %v\n", err)
	}
	return exitWrong
}

// The groups of commands in the help.
const (
	groupSee    = "see"
	groupChange = "change"
	groupCheck  = "check"
	groupNode   = "node"
)

func (t *tool) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "xdp-portctl",
		Short: "Show, trace and change what xdp-port does to containers' ports",
		Long: `xdp-portctl shows what the CNI plugin xdp-port has attached on this node and what
happens to the packets of containers. It changes the rules of running containers.

It reads its data from bpffs and the kernel. Exit codes: 0 all is well, 1 something
is wrong, 2 wrong usage.`,
		Version:           build.Read().String(),
		SilenceUsage:      true,
		SilenceErrors:     true,
		PersistentPreRunE: func(command *cobra.Command, _ []string) error { return t.prepare(command) },
	}
	root.SetIn(t.in)
	root.SetOut(t.out) // before InitDefaultCompletionCmd, which keeps it
	root.SetErr(t.err)
	root.SetFlagErrorFunc(cli.ExplainFlag)
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.PersistentFlags().StringVarP(&t.format, "output", "o", formatTable, "output format: table, wide or json")
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
	cli.RefuseUnknown(root)
	return root
}

// prepare checks the flags of a command before it runs.
func (t *tool) prepare(command *cobra.Command) error {
	if !slices.Contains(formats, t.format) {
		return fmt.Errorf("-o %s: write one of %s", cli.Quote(t.format), strings.Join(formats, ", "))
	}
	if t.wantsJSON() {
		t.out.JSON()
	}
	return cli.CheckFlags(command)
}

// add adds commands. Their errors are failures, not wrong usage.
func (t *tool) add(root *cobra.Command, group string, commands ...*cobra.Command) {
	for _, command := range commands {
		command.GroupID = group
		cli.NameArguments(command)
		work := command.RunE
		command.RunE = func(command *cobra.Command, args []string) error {
			if err := checkRoot(group); err != nil {
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

// checkRoot refuses commands that read or change the state to other users. To them a node
// would look as if nothing were attached.
func checkRoot(group string) error {
	if (group == groupSee || group == groupChange || group == groupNode) && os.Geteuid() != 0 {
		return fmt.Errorf("user %d: %w", os.Geteuid(), os.ErrPermission)
	}
	return nil
}
