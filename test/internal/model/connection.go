package model

import (
	"time"

	"github.com/xdp-port/xdp-port/pkg/rules"
)

// connection is how far a flow is.
type connection struct {
	proto rules.Protocol
	used  time.Duration
	// isAnswered is after a reply, isEstablished after a forward packet of TCP that
	// acknowledges it.
	isAnswered, isEstablished bool
	finished, reset           struct{ container, peer bool }
	// answer is the sequence number of the last reply before it is established.
	answer uint32
}

// segment is what a packet says of its connection.
type segment struct {
	fromContainer, isReply bool
	syn, ack, fin, rst     bool
	hasData                bool
	sequence, acknowledged uint32
}

// accepts tells whether the container accepts a connection of its peer's, which begins
// anew then.
func (s segment) accepts() bool {
	return s.isReply && s.fromContainer && s.syn && s.ack && !s.rst
}

// near is how far numbers of one connection may be apart.
const near = 1 << 22

func begin(proto rules.Protocol, s segment, now time.Duration) connection {
	c := connection{proto: proto}
	c.follow(s, now)
	return c
}

// lifetime is for how long it may be idle.
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

// isOver tells whether the container has reset it, or both have finished it.
func (c *connection) isOver() bool {
	return c.reset.container || c.finished.container && c.finished.peer
}

// follow takes note of a packet.
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
		// Who sends for the container is the container; for the peer, anybody.
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

// talk takes note of a packet that neither begins nor resets the connection.
func (c *connection) talk(s segment) {
	c.reset.peer = false
	if s.fromContainer {
		c.reset.container = false
	}
	if s.isReply {
		c.isAnswered = true
	} else if c.isAnswered && s.ack && s.acknowledged-c.answer+near < 2*near {
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
