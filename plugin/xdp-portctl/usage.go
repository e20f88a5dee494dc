package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/xdp-port/xdp-port/pkg/printable"
)

// explainFlag says in the user's words what is wrong with a flag: pflag's errors
// quote the functions that it parses with.
func explainFlag(_ *cobra.Command, err error) error {
	var invalid *pflag.InvalidValueError
	var missing *pflag.ValueRequiredError
	switch {
	case errors.As(err, &invalid):
		flag := invalid.GetFlag()
		return fmt.Errorf("--%s %s: %s", flag.Name, shorten(invalid.GetValue()), wantedValue(flag, invalid.Unwrap()))
	case errors.As(err, &missing):
		return fmt.Errorf("--%s needs a value", missing.GetFlag().Name)
	}
	return err
}

// wantedValue says what a flag takes.
func wantedValue(flag *pflag.Flag, cause error) string {
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

// shorten quotes what somebody wrote, or the beginning of it.
func shorten(text string) string {
	const most = 60
	return strconv.Quote(printable.Cut(text, most))
}

// checkArguments has a command say by the names of its arguments which it takes.
func checkArguments(command *cobra.Command) {
	check := command.Args
	names := argumentNames(command.Use)
	command.Args = func(command *cobra.Command, args []string) error {
		if check(command, args) != nil {
			return fmt.Errorf("%s takes %s; there are %d", command.Name(), argumentCount(names), len(args))
		}
		for i, arg := range args {
			if arg == "" {
				return fmt.Errorf("%s is empty", strings.Trim(names[i], "[]"))
			}
		}
		return nil
	}
}

// argumentNames are those of a usage line, without flags and their values.
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

// The annotations by which cobra remembers which flags belong together. If they
// get other names, cobra's own words are heard again.
const (
	annotationOneOf     = "cobra_annotation_one_required"
	annotationExclusive = "cobra_annotation_mutually_exclusive"
)

// checkFlags wants the flags that a command requires, and none that exclude each
// other, before cobra does in its own words.
func checkFlags(command *cobra.Command) error {
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

// given are those of the flags that the caller has set.
func given(command *cobra.Command, names []string) (set []string) {
	for _, name := range names {
		if command.Flags().Changed(name) {
			set = append(set, name)
		}
	}
	return set
}

// checkListen returns an error for what is no address to serve at.
func checkListen(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil || !isHost(host) {
		return fmt.Errorf("--listen %s: this is not ADDRESS:PORT, such as 127.0.0.1:9435 or :9435", shorten(address))
	}
	return nil
}

// isHost tells whether a host of an address can be one: empty, an IP address, or the
// characters of a name.
func isHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil || host == "" {
		return true
	}
	isPart := func(r rune) bool {
		return r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r)) || strings.ContainsRune("-._", r)
	}
	isName := !strings.ContainsFunc(host, func(r rune) bool { return !isPart(r) })
	isNumber := !strings.ContainsFunc(host, func(r rune) bool { return !unicode.IsDigit(r) && r != '.' }) // 127.0.0.300
	return isName && !isNumber
}

// checkConfigMap returns an error for what does not name a ConfigMap.
func checkConfigMap(path string) error {
	if parts := strings.Split(path, "/"); len(parts) != 2 || parts[0] == "" || parts[1] == "" {
		return fmt.Errorf("--configmap %s: this is not NAMESPACE/NAME", shorten(path))
	}
	return nil
}
