package model

import (
	"time"

	"github.com/xdp-port/xdp-port/pkg/rules"
)

// connection is the state of a flow.
type connection struct {
	proto rules.Protocol
	used  time.Duration
	// isAnswered is set by a reply, isEstablished by a forward TCP packet that
	// acknowledges it.
	isAnswered, isEstablished bool
	finished, reset           struct{ container, peer bool }
	// answer is the sequence number of the last reply before the connection is
	// established.
	answer uint32
}

// segment is the part of a packet that changes its connection.
type segment struct {
	fromContainer, isReply bool
	syn, ack, fin, rst     bool
	hasData                bool
	sequence, acknowledged uint32
}

// accepts reports whether the container accepts a connection of its peer, which
// restarts the connection.
func (s segment) accepts() bool {
	return s.isReply && s.fromContainer && s.syn && s.ack && !s.rst
}

// maxWindow is larger than any TCP window.
const maxWindow = 1 << 22

func begin(proto rules.Protocol, s segment, now time.Duration) connection {
	c := connection{proto: proto}
	c.follow(s, now)
	return c
}

// lifetime returns the maximum idle time.
func (c *connection) lifetime() time.Duration {
	switch {
	case c.proto == rules.UDP && !c.isAnswered:
		return 30 * time.Second
	case c.proto == rules.UDP:
		return 180 * time.Second
	case c.reset.container:
		return 10 * time.Second
	case c.finished.container && (c.finished.peer || c.reset.peer), !c.isEstablished:
		return 120 * time.Second
	case c.finished.container:
		return time.Hour
	}
	return 5 * 24 * time.Hour
}

func (c *connection) hasExpired(now time.Duration) bool {
	return now-c.used > c.lifetime()
}

// isOver reports whether the container has sent RST, or both ends have sent FIN.
func (c *connection) isOver() bool {
	return c.reset.container || c.finished.container && c.finished.peer
}

// follow updates the connection by a packet.
func (c *connection) follow(s segment, now time.Duration) {
	c.used = now
	if c.proto == rules.UDP {
		c.isAnswered = c.isAnswered || s.isReply
		return
	}
	if s.isReply && !c.isEstablished || s.accepts() {
		defer func() {
			c.answer = s.sequence
			if s.syn {
				c.answer++
			}
		}()
	}
	switch {
	case !s.isReply && s.syn && !s.ack:
		// Only the container can send as the container. Anybody can send as the peer.
		if s.fromContainer || c.isOver() {
			answer := c.answer
			*c = connection{proto: c.proto, used: now, answer: answer}
		}
	case s.rst:
		c.reset.container = c.reset.container || s.fromContainer
		c.reset.peer = c.reset.peer || !s.fromContainer
	case s.accepts():
		*c = connection{proto: c.proto, used: now, isAnswered: true}
	default:
		c.talk(s)
	}
}

// talk updates the connection by a packet that neither opens nor resets it.
func (c *connection) talk(s segment) {
	c.reset.peer = false
	if s.fromContainer {
		c.reset.container = false
	}
	if s.isReply {
		c.isAnswered = true
	} else if c.isAnswered && s.ack && s.acknowledged-c.answer+maxWindow < 2*maxWindow {
		c.isEstablished = true
	}
	mine := &c.finished.peer
	if s.fromContainer {
		mine = &c.finished.container
	}
	if s.fin {
		*mine = true
	} else if s.hasData && c.finished.container && c.finished.peer {
		*mine = false
	}
}
