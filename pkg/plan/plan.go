// Package plan turns a network's configuration into the desired state of a
// container's interface.
//
// The plugin and the tool share it, so that both attach the same for the same
// configuration.
package plan

import (
	"github.com/xdp-port/xdp-port/pkg/config"
	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/hook"
	"github.com/xdp-port/xdp-port/pkg/state"
	"github.com/xdp-port/xdp-port/pkg/veth"
)

// Of returns the desired state that a network's configuration describes, for
// devices in the caller's network namespace.
func Of(network *config.Network) (state.Desired, error) {
	netns, err := veth.OwnNetNS()
	if err != nil {
		return state.Desired{}, err
	}
	desired := state.Desired{
		Ruleset: &datapath.Ruleset{
			Rules: network.Rules,
			Mode:  Mode(network.Mode),
			Flows: network.Flows,
			NetNS: netns,
		},
		Table: network.Table,
		Hook:  Hook(network.TCHook),

		ContainerRules: network.ContainerRules,
	}
	if network.Mode == config.ModeAuto && desired.Ruleset.Mode != datapath.TC {
		fallback := *desired.Ruleset
		fallback.Mode = datapath.TC
		desired.Fallback = &fallback
	}
	return desired, nil
}

// Mode returns the mode that the configuration's word stands for.
//
// The word auto never stands for native mode. On a veth native mode costs several
// times as much, because the driver copies each packet and accepts no large ones.
func Mode(word config.Mode) datapath.Mode {
	if word == config.ModeAuto {
		return datapath.AutoMode()
	}
	return modes[word]
}

var modes = map[config.Mode]datapath.Mode{
	config.ModeGeneric: datapath.Generic,
	config.ModeNative:  datapath.Native,
	config.ModeOffload: datapath.Offload,
	config.ModeTC:      datapath.TC,
}

// Hook returns the tc hook that the configuration's word stands for.
func Hook(word config.TCHook) hook.TCHook { return hooks[word] }

var hooks = map[config.TCHook]hook.TCHook{
	config.HookAuto:   hook.AutoHook,
	config.HookTCX:    hook.TCX,
	config.HookClsact: hook.Clsact,
}
