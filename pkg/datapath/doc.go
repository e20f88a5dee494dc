// Package datapath loads the BPF programs for a ruleset, and enables and disables
// them for devices.
//
// It does not attach programs to devices: pkg/hook does. Where pins belong is for
// pkg/state to say.
package datapath
