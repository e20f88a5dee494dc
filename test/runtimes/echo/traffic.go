package main

import (
	"fmt"
	"net"
	"time"
)

// patience is how long the client waits for an answer.
const patience = 3 * time.Second

func serveUDP(port string) error {
	conn, err := net.ListenPacket("udp", ":"+port)
	if err != nil {
		return err
	}
	go func() {
		for buffer := make([]byte, 1500); ; {
			_, from, err := conn.ReadFrom(buffer)
			if err == nil {
				_, _ = conn.WriteTo([]byte(port), from)
			}
		}
	}()
	return nil
}

func serveTCP(port string) error {
	listener, err := net.Listen("tcp", ":"+port)
	if err != nil {
		return err
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err == nil {
				_, _ = fmt.Fprint(conn, port)
				_ = conn.Close()
			}
		}
	}()
	return nil
}

// ask prints the port that answers. Its socket is connected: it hears only
// what comes from the port that it asked.
func ask(protocol, target string) error {
	conn, err := net.DialTimeout(protocol, target, patience)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if protocol == "udp" {
		if _, err := fmt.Fprint(conn, "which port?"); err != nil {
			return err
		}
	}
	answer := make([]byte, 16)
	n, err := conn.Read(answer)
	if err != nil {
		return fmt.Errorf("no answer: %w", err)
	}
	fmt.Printf("%s %s\n", protocol, answer[:n])
	return nil
}
