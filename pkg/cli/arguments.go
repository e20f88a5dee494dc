package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// NameArguments makes a command name its arguments, as in its usage line, if their number is
// wrong or one of them is empty.
func NameArguments(command *cobra.Command) {
	check := command.Args
	names := argumentNames(command.Use)
	command.Args = func(command *cobra.Command, args []string) error {
		if check(command, args) != nil {
			return fmt.Errorf("%s takes %s; it was given %d", command.Name(), argumentCount(names), len(args))
		}
		for i, arg := range args {
			if arg == "" {
				return fmt.Errorf("%s is empty", strings.Trim(names[i], "[]"))
			}
		}
		return nil
	}
}

// argumentNames returns the arguments of a usage line, without flags and their values.
func argumentNames(use string) []string {
	words := strings.Fields(use)[1:]
	for i, word := range words {
		if strings.HasPrefix(word, "-") {
			return words[:i]
		}
	}
	return words
}

func argumentCount(names []string) string {
	switch {
	case len(names) == 0:
		return "no arguments"
	case strings.HasPrefix(names[0], "["):
		return "at most one argument, " + strings.Trim(names[0], "[]")
	default:
		return "one argument, " + names[0]
	}
}
