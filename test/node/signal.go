package node

import (
	"fmt"
	"os"
	"os/signal"
	"sync"

	"golang.org/x/sys/unix"
)

// world is read-locked while this process changes something outside of itself. An
// interruption locks it for good: changes in progress are completed first, so that
// they can be removed, and no new ones begin.
var world sync.RWMutex

// open are the nodes that are not closed yet.
var (
	openLock sync.Mutex
	open     = map[*Node]bool{}
)

func register(n *Node) {
	openLock.Lock()
	defer openLock.Unlock()
	open[n] = true
}

// unregister reports whether the node was open.
func unregister(n *Node) bool {
	openLock.Lock()
	defer openLock.Unlock()
	was := open[n]
	delete(open, n)
	return was
}

// CloseOnSignal makes SIGINT and SIGTERM close all nodes before the process exits.
func CloseOnSignal() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM)
	go func() {
		<-signals
		world.Lock()
		closeAll()
		os.Exit(130)
	}()
}

func closeAll() {
	openLock.Lock()
	var nodes []*Node
	for n := range open {
		nodes = append(nodes, n)
	}
	openLock.Unlock()
	for _, n := range nodes {
		if err := n.close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
}
