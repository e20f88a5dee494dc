package cli

import (
	"io"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// run runs a command with flags of all types, and returns the error.
func run(args ...string) error {
	command := &cobra.Command{
		Use: "shake TREE --count N", Args: cobra.ExactArgs(1), SilenceErrors: true, SilenceUsage: true,
		PersistentPreRunE: func(command *cobra.Command, _ []string) error { return CheckFlags(command) },
		RunE:              func(*cobra.Command, []string) error { return nil },
	}
	NameArguments(command)
	command.SetFlagErrorFunc(ExplainFlag)
	command.SetOut(io.Discard)
	flags := command.Flags()
	flags.Int("count", 0, "")
	flags.UintSlice("port", nil, "")
	flags.Duration("interval", 0, "")
	flags.Bool("gently", false, "")
	flags.String("file", "", "")
	flags.String("folder", "", "")
	_ = command.MarkFlagRequired("count")
	command.MarkFlagsOneRequired("file", "folder")
	command.MarkFlagsMutuallyExclusive("file", "folder")
	command.SetArgs(args)
	return command.Execute()
}

// TestErrors wants errors that name the flag or argument and what it takes.
func TestErrors(t *testing.T) {
	good := []string{"--count", "1", "--file", "x", "oak"}
	if err := run(good...); err != nil {
		t.Error(err)
	}
	for line, want := range map[string]string{
		"--count x":                          `--count "x": this is not a whole number`,
		"--count 99999999999999999999":       "this number is too large",
		"--count " + strings.Repeat("x", 99): "x…\": this",
		"--port 1,x":                         "this is not a port (1-65535)",
		"--interval 5":                       "this is not a time span such as 500ms",
		"--gently=perhaps":                   "write true, false, or nothing",
		"--count":                            "--count needs a value",
		"oak --file x":                       "--count is missing",
		"oak --count 1":                      "--file or --folder is missing",
		"oak --count 1 --file x --folder y":  "--file and --folder exclude each other",
		"oak ash --count 1 --file x":         "shake takes one argument, TREE; it was given 2",
		"--count 1 --file x":                 "shake takes one argument, TREE; it was given 0",
	} {
		if err := run(strings.Fields(line)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", line, err, want)
		}
	}
	if err := run("--count", "1", "--file", "x", ""); err == nil || err.Error() != "TREE is empty" {
		t.Errorf("an empty argument: %v", err)
	}
}
