package endpoint

import "testing"

func TestCheckAddress(t *testing.T) {
	for address, valid := range map[string]bool{
		":9435": true, "127.0.0.1:0": true, "[::1]:9435": true, "node-1.example:9435": true,
		"9435": false, "127.0.0.1:http": false, ":65536": false, "127.0.0.300:1": false, "a b:1": false, "": false,
	} {
		if err := CheckAddress(address); (err == nil) != valid {
			t.Errorf("%q: %v", address, err)
		}
	}
}
