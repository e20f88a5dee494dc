// Echo is the program in the test image: a server that answers with the port at which it was reached, and a
// client.
//
//	echo                        do nothing, until killed: what a pod sandbox runs
//	echo serve PORT...          answer UDP and TCP at these ports until killed
//	echo ask PROTOCOL ADDR:PORT print the answer; fail if there is none in 3 s
//	echo talk ADDR:PORT [PAUSE] say something over one TCP connection, twenty times
//	                            a second or after each pause, until killed; fail
//	                            when it breaks
//	echo address                print the IPv4 address of eth0
package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "echo:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 0:
		return serve(nil)
	case len(args) >= 1 && args[0] == "serve":
		return serve(args[1:])
	case len(args) == 3 && args[0] == "ask":
		return ask(args[1], args[2])
	case len(args) == 2 && args[0] == "talk":
		return talk(args[1], "50ms")
	case len(args) == 3 && args[0] == "talk":
		return talk(args[1], args[2])
	case len(args) == 1 && args[0] == "address":
		return address()
	}
	return errors.New("usage: echo [serve PORT... | ask udp|tcp ADDR:PORT | talk ADDR:PORT [PAUSE] | address]")
}

func serve(ports []string) error {
	for _, port := range ports {
		if err := errors.Join(serveUDP(port), serveTCP(port)); err != nil {
			return err
		}
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	<-stop
	return nil
}

func address() error {
	eth0, err := net.InterfaceByName("eth0")
	if err != nil {
		return err
	}
	addresses, err := eth0.Addrs()
	if err != nil {
		return err
	}
	for _, a := range addresses {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.To4() != nil {
			fmt.Println(ip.IP)
			return nil
		}
	}
	return errors.New("eth0 has no IPv4 address")
}
