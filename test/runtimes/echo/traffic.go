package main

import (
	"fmt"
	"io"
	"net"
	"time"
)

// patience is the time that the client waits for an answer.
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
				go answer(conn, port)
			}
		}
	}()
	return nil
}

// answer sends the port, and then everything that it receives.
func answer(conn net.Conn, port string) {
	defer conn.Close()
	if _, err := fmt.Fprint(conn, port); err == nil {
		_, _ = io.Copy(conn, conn)
	}
}

// talk prints where the connection arrived, and talks until the connection breaks.
func talk(target, every string) error {
	pause, err := time.ParseDuration(every)
	if err != nil {
		return err
	}
	conn, err := net.DialTimeout("tcp", target, patience)
	if err != nil {
		return err
	}
	defer conn.Close()
	answer := make([]byte, 16)
	n, err := conn.Read(answer)
	if err != nil {
		return fmt.Errorf("no answer: %w", err)
	}
	fmt.Printf("talking to %s\n", answer[:n])
	for count := 0; ; count++ {
		word := byte(count)
		if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		if _, err := conn.Write([]byte{word}); err != nil {
			return fmt.Errorf("broken after %d words: %w", count, err)
		}
		if _, err := io.ReadFull(conn, answer[:1]); err != nil || answer[0] != word {
			return fmt.Errorf("broken after %d words: heard %d for %d (%w)", count, answer[0], word, err)
		}
		time.Sleep(pause)
	}
}

// ask prints the port that answers. Its socket is connected, so it receives only from the port that it sends
// to.
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
