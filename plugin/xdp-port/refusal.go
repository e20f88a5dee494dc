package main

import (
	"fmt"
	"os"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/utils"

	"github.com/xdp-port/xdp-port/pkg/config"
	"github.com/xdp-port/xdp-port/pkg/printable"
)

// hasBegun reports whether the CNI library has called an operation. Earlier errors come from
// the library.
var hasBegun bool

// explained replaces an error of the CNI library by one with the place and the fix. stdin is
// nil if it could not be read.
func explained(refused *types.Error, command string, stdin []byte) *types.Error {
	if hasBegun {
		return refused
	}
	if refused.Code == types.ErrInvalidEnvironmentVariables {
		if better := explainEnvironment(os.Getenv); better != nil {
			return better
		}
		return refused // it names the missing variables
	}
	if stdin != nil {
		if better := config.Refusal(stdin, command); better != nil {
			return better
		}
	}
	return refused
}

// explainEnvironment names a wrong variable, and quotes its beginning. It returns nil if
// there is none.
func explainEnvironment(getenv func(string) string) *types.Error {
	for _, variable := range []struct {
		name    string
		isWrong func(string) bool
		wants   string
	}{
		{"CNI_COMMAND", isUnknown, "an operation: it must be ADD, CHECK, DEL, GC, STATUS or VERSION"},
		{
			"CNI_CONTAINERID", func(s string) bool { return utils.ValidateContainerID(s) != nil },
			"a container ID (letters, digits, _ . and -, beginning with a letter or digit)",
		},
		{
			"CNI_IFNAME", func(s string) bool { return utils.ValidateInterfaceName(s) != nil },
			"an interface name (at most 15 bytes, not . or .., without / : and white space)",
		},
	} {
		value := getenv(variable.name)
		if value != "" && variable.isWrong(value) {
			return types.NewError(types.ErrInvalidEnvironmentVariables,
				fmt.Sprintf("%s: \"%s\" is not %s", variable.name, printable.Short(value, maxValue), variable.wants), "")
		}
	}
	return nil
}

// maxValue is the number of characters of a variable that a message shows.
const maxValue = 64

func isUnknown(command string) bool {
	switch command {
	case "ADD", "CHECK", "DEL", "GC", "STATUS", "VERSION":
		return false
	}
	return true
}
