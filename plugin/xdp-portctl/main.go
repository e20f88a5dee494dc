// xdp-portctl is the operator's tool of xdp-port: it shows attachments and what happens to
// packets, and changes the rules of running containers.
package main

import "os"

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
