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
	"github.com/xdp-port/xdp-port/pkg/printable"
	"github.com/xdp-port/xdp-port/pkg/state"
	"github.com/xdp-port/xdp-port/pkg/veth"
)

// Error codes: the CNI specification's own (section "Error"), and from 100 on
// the plugin's.
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

// guarded turns whatever a verb comes back with, a panic included, into a CNI
// error: stdout must carry nothing else. How it came out is logged.
func guarded(name string, verb func(*skel.CmdArgs) error) func(*skel.CmdArgs) error {
	return func(args *skel.CmdArgs) (err error) {
		began := time.Now()
		hasBegun = true
		defer func() {
			if err != nil {
				noteVersion(args)
			}
		}()
		defer func() { logged(name, args, began, err) }()
		defer func() {
			if cause := recover(); cause != nil {
				err = types.NewError(types.ErrInternal,
					fmt.Sprintf("this is a bug in xdp-port: %v", cause), string(debug.Stack()))
			}
		}()
		return asCNI(verb(args))
	}
}

// versionInUse is that of the configuration where a verb has failed, the newest
// where it did not come to that.
var versionInUse = version.Current()

func noteVersion(args *skel.CmdArgs) {
	if args == nil {
		return
	}
	if configured, err := new(version.ConfigDecoder).Decode(args.StdinData); err == nil {
		versionInUse = configured
	}
}

// printRefusal prints what the specification wants (section 5, Error): the
// library leaves the version out.
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

// The most bytes of an error's message, and of both its parts. Runtimes keep it in
// an event, and say it again with each retry.
const (
	maxMessage = 5 << 10
	maxError   = 6 << 10
)

// bounded returns an error that is short and printable, whatever names and texts
// from outside, or the CNI library, are in it.
func bounded(e *types.Error) *types.Error {
	msg := printable.Bytes(e.Msg, maxMessage)
	return types.NewError(e.Code, msg, printable.CutBytes(printable.Lines(e.Details), maxError-len(msg)))
}

// asCNI gives an error the code that tells what kind it is of.
func asCNI(err error) error {
	var already *types.Error
	var mistakes *config.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &already):
		return already
	case errors.As(err, &mistakes):
		return mistakes.CNI()
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

// kinds has the code of each kind of error. An error of several kinds has the code of
// the first.
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
	{hook.ErrAttach, codeAttach},
	{hook.ErrDetach, codeAttach},
	{hook.ErrInspect, codeAttach},
	{datapath.ErrActivation, codeAttach},
	{datapath.ErrMode, codeAttach},
	{flow.ErrCopy, codeAttach},
	{datapath.ErrLoad, codeLoad},
	{pin.ErrMap, codeLoad},
	{bpffs.ErrUnusable, codeBPFFS},
	{pin.ErrPin, codeBPFFS},
}

// verifierLog returns the last lines of what the verifier said, which have the
// reason.
func verifierLog(err error) string {
	var verifier *ebpf.VerifierError
	if !errors.As(err, &verifier) {
		return ""
	}
	const last = 12
	return strings.Join(verifier.Log[max(0, len(verifier.Log)-last):], "\n")
}
