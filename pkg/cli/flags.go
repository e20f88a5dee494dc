// Package cli explains wrong flags and arguments to users of a cobra command.
//
// Cobra and pflag name the functions that parse a value; this package names what the value
// must be.
package cli

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/xdp-port/xdp-port/pkg/printable"
)

// ExplainFlag is a cobra FlagErrorFunc that says what is wrong with a flag.
func ExplainFlag(_ *cobra.Command, err error) error {
	var invalid *pflag.InvalidValueError
	var missing *pflag.ValueRequiredError
	switch {
	case errors.As(err, &invalid):
		flag := invalid.GetFlag()
		return fmt.Errorf("--%s %s: %s", flag.Name, Quote(invalid.GetValue()), problemOf(flag, invalid.Unwrap()))
	case errors.As(err, &missing):
		return fmt.Errorf("--%s needs a value", missing.GetFlag().Name)
	}
	return err
}

// problemOf says which value a flag takes.
func problemOf(flag *pflag.Flag, cause error) string {
	switch flag.Value.Type() {
	case "int":
		if errors.Is(cause, strconv.ErrRange) {
			return "this number is too large"
		}
		return "this is not a whole number"
	case "uintSlice":
		return "this is not a port (1-65535), nor several with commas between them"
	case "duration":
		return "this is not a time span such as 500ms, 5s or 2m"
	case "bool":
		return "write true, false, or nothing"
	default:
		return "this cannot be read"
	}
}

// Quote quotes the beginning of what a user wrote, to repeat it in an error.
func Quote(text string) string {
	const most = 60
	return strconv.Quote(printable.Cut(text, most))
}

// Cobra stores in these annotations which flags belong together. If it renames them, its own
// messages appear again.
const (
	annotationOneOf     = "cobra_annotation_one_required"
	annotationExclusive = "cobra_annotation_mutually_exclusive"
)

// CheckFlags returns an error for required flags that are missing and for flags that exclude
// each other. Call it before cobra checks the same in its own words.
func CheckFlags(command *cobra.Command) error {
	var errs []error
	seen := map[string]bool{}
	once := func(problem string) {
		if !seen[problem] {
			seen[problem] = true
			errs = append(errs, errors.New(problem))
		}
	}
	command.Flags().VisitAll(func(flag *pflag.Flag) {
		if len(flag.Annotations[cobra.BashCompOneRequiredFlag]) > 0 && !flag.Changed {
			once(fmt.Sprintf("--%s is missing", flag.Name))
		}
		for _, group := range flag.Annotations[annotationOneOf] {
			if names := strings.Fields(group); len(given(command, names)) == 0 {
				once(fmt.Sprintf("--%s is missing", strings.Join(names, " or --")))
			}
		}
		for _, group := range flag.Annotations[annotationExclusive] {
			if names := given(command, strings.Fields(group)); len(names) > 1 {
				once(fmt.Sprintf("--%s exclude each other", strings.Join(names, " and --")))
			}
		}
	})
	return errors.Join(errs...)
}

// given returns those of the flags that the user has set.
func given(command *cobra.Command, names []string) (set []string) {
	for _, name := range names {
		if command.Flags().Changed(name) {
			set = append(set, name)
		}
	}
	return set
}
