package cli

import "github.com/spf13/cobra"

// RefuseUnknown makes cobra's own commands refuse unknown arguments. By default they print
// their help and succeed.
func RefuseUnknown(root *cobra.Command) {
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
