package endpoint

import (
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

var errAddress = errors.New("invalid address: write HOST:PORT, for example 127.0.0.1:9435 or :9435")

// CheckAddress returns an error for an address that is not HOST:PORT or :PORT.
func CheckAddress(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil || !isHost(host) {
		return errAddress
	}
	return nil
}

// isHost reports whether the host of an address is empty, an IP address or a valid name.
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
