package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/version"

	"github.com/xdp-port/xdp-port/pkg/attachment"
	"github.com/xdp-port/xdp-port/pkg/bpffs"
	"github.com/xdp-port/xdp-port/pkg/config"
	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/flow"
	"github.com/xdp-port/xdp-port/pkg/hook"
	"github.com/xdp-port/xdp-port/pkg/pin"
	"github.com/xdp-port/xdp-port/pkg/state"
	"github.com/xdp-port/xdp-port/pkg/veth"
)

// The error codes of the CNI specification (section "Error"), and from 100 on those of the
// plugin.
const (
	codeConfig       = types.ErrInvalidNetworkConfig
	codeNetNS        = 8
	codeTryAgain     = types.ErrTryAgainLater
	codeNotAvailable = 50
	codeDiffers      = 100
	codeNoVeth       = 101
	codeLoad         = 102
	codeAttach       = 103
	codeForeign      = 104
	codeBPFFS        = 105
)

// guarded turns every error of an operation, and a panic, into a CNI error, because stdout
// must contain nothing else. It logs the outcome.
func guarded(name string, operation func(*skel.CmdArgs) error) func(*skel.CmdArgs) error {
	return func(args *skel.CmdArgs) (err error) {
		began := time.Now()
		hasBegun = true
		defer func() {
			if err != nil {
				recordVersion(args)
			}
		}()
		defer func() { logOutcome(name, args, began, err) }()
		defer func() {
			if cause := recover(); cause != nil {
				err = types.NewError(types.ErrInternal,
					fmt.Sprintf("this is a bug in xdp-port: %v", cause), string(debug.Stack()))
			}
		}()
		return asCNI(operation(args))
	}
}

// versionInUse is the version of the configuration if an operation has failed. It is the
// newest version if the configuration was not read.
var versionInUse = version.Current()

// recordVersion records the version of the configuration for printRefusal.
func recordVersion(args *skel.CmdArgs) {
	if args == nil {
		return
	}
	if configured, err := new(version.ConfigDecoder).Decode(args.StdinData); err == nil {
		versionInUse = configured
	}
}

// printRefusal prints an error with all fields of the specification (section 5, Error). The
// library omits the version.
func printRefusal(refused *types.Error) error {
	text, err := json.MarshalIndent(struct {
		CNIVersion string `json:"cniVersion"`
		*types.Error
	}{versionInUse, bounded(refused)}, "", "    ")
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(text)
	return err
}

// asCNI returns an error as a CNI error. Its kind decides the code.
func asCNI(err error) error {
	var already *types.Error
	var invalid *config.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &already):
		return already
	case errors.As(err, &invalid):
		return invalid.CNI()
	}
	return types.NewError(codeOf(err), err.Error(), verifierLog(err))
}

func codeOf(err error) uint {
	for _, kind := range kinds {
		if errors.Is(err, kind.err) {
			return kind.code
		}
	}
	return types.ErrInternal
}

// kinds maps each kind of error to its code. An error of several kinds has the code of the
// first one.
var kinds = []struct {
	err  error
	code uint
}{
	{veth.ErrNetNS, codeNetNS},
	{veth.ErrNoVeth, codeNoVeth},
	{veth.ErrLookup, codeNoVeth},
	{bpffs.ErrBusy, codeTryAgain},
	{state.ErrCancelled, codeTryAgain},
	{hook.ErrForeign, codeForeign},
	{attachment.ErrBypass, codeForeign},
	{attachment.ErrDiffers, codeDiffers},
	{pin.ErrNewer, codeDiffers},
	{pin.ErrPin, codeBPFFS}, // before what it kept from being done
	{hook.ErrAttach, codeAttach},
	{hook.ErrDetach, codeAttach},
	{hook.ErrInspect, codeAttach},
	{datapath.ErrActivation, codeAttach},
	{datapath.ErrMode, codeAttach},
	{flow.ErrLoad, codeLoad},
	{flow.ErrCopy, codeAttach},
	{datapath.ErrLoad, codeLoad},
	{pin.ErrMap, codeLoad},
	{bpffs.ErrUnusable, codeBPFFS},
}

// verifierLog returns the last lines of the verifier's log, which contain the reason.
func verifierLog(err error) string {
	var verifier *ebpf.VerifierError
	if !errors.As(err, &verifier) {
		return ""
	}
	const last = 12
	return strings.Join(verifier.Log[max(0, len(verifier.Log)-last):], "\n")
}
