package config

import (
	"slices"
	"strings"
)

// networkKeys are the keys of an entry that the plugin reads, its own ones last.
var networkKeys = []string{
	"cniVersion", "name", "type", "prevResult", "capabilities", "runtimeConfig", "args",
	"mode", "tcHook", "flows", "log", "rules",
}

// otherKeys are further keys of CNI, the keys that Multus adds to each plugin of a network
// with a device, and the key by which editors find the schema.
var otherKeys = []string{"ipam", "dns", "ipMasq", "deviceID", "pciBusID", "$schema"}

// isForeignKey reports whether a key belongs to other software. Keys with a domain, such as
// cni.dev/valid-attachments, do; keys with a leading underscore are comments.
func isForeignKey(key string) bool {
	return slices.Contains(otherKeys, key) || strings.ContainsAny(key, "./") || strings.HasPrefix(key, "_")
}

// ruleKeys are the keys of a rule, in the order of the documentation.
var ruleKeys = []string{"direction", "protocol", "port", "toPort", "action", "cidrs", "oneWay", "name"}
