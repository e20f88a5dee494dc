package main

import (
	"fmt"
	"os"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/utils"

	"github.com/xdp-port/xdp-port/pkg/config"
	"github.com/xdp-port/xdp-port/pkg/printable"
)

// hasBegun tells whether the CNI library has called an operation: what is refused
// before that is the library's doing.
var hasBegun bool

// explained says in xdp-port's words what the CNI library refused, with the place
// and the fix. stdin is nil if it could not be read.
func explained(refused *types.Error, command string, stdin []byte) *types.Error {
	if hasBegun {
		return refused
	}
	if refused.Code == types.ErrInvalidEnvironmentVariables {
		if better := explainEnvironment(os.Getenv); better != nil {
			return better
		}
		return refused // it names the variables that are missing
	}
	if stdin != nil {
		if better := config.Refusal(stdin, command); better != nil {
			return better
		}
	}
	return refused
}

// explainEnvironment names the variable that is wrong, and shows the beginning of
// it. It returns nil where none is.
func explainEnvironment(getenv func(string) string) *types.Error {
	for _, variable := range []struct {
		name    string
		isWrong func(string) bool
		wants   string
	}{
		{"CNI_COMMAND", isUnknown, "an operation: it must be ADD, CHECK, DEL, GC, STATUS or VERSION"},
		{
			"CNI_CONTAINERID", func(s string) bool { return utils.ValidateContainerID(s) != nil },
			"the ID of a container (letters, digits, _ . and -, the first a letter or digit)",
		},
		{
			"CNI_IFNAME", func(s string) bool { return utils.ValidateInterfaceName(s) != nil },
			"the name of an interface (at most 15 bytes, neither . nor .., without / : and white space)",
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

// maxValue is the most characters that a message shows of a variable.
const maxValue = 64

func isUnknown(command string) bool {
	switch command {
	case "ADD", "CHECK", "DEL", "GC", "STATUS", "VERSION":
		return false
	}
	return true
}
