package config

import "strings"

// Compiling regular expressions takes longer than all the rest of the plugin's
// start, so names are looked at by hand.

// maxName is the most bytes of a rule's name, and of a key that is shown as it
// is.
const maxName = 63

// isRuleName tells whether a rule may be called so: [A-Za-z0-9_.-]{1,63}.
func isRuleName(name string) bool {
	return name != "" && len(name) <= maxName && consistsOf(name, func(c byte) bool {
		return isWord(c) || c == '.' || c == '-'
	})
}

// isPlainKey tells whether a key can be written without brackets.
func isPlainKey(key string) bool {
	return key != "" && len(key) <= maxName && consistsOf(key, isWord) && !strings.Contains("0123456789", key[:1])
}

func consistsOf(text string, allowed func(byte) bool) bool {
	for i := range len(text) {
		if !allowed(text[i]) {
			return false
		}
	}
	return true
}

func isWord(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_'
}
