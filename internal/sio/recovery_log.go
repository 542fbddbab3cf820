package sio

import (
	"strconv"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio/engineio"
	"github.com/fanoutd/fanoutd/internal/sio/parser"
	"github.com/fanoutd/fanoutd/internal/sio/room"
)

// eventLog holds the latest events of one namespace, in the order in which its
// sockets were sent them: for clients that were cut off and come back. Positions
// count the events since the namespace began. Namespace.mu guards it.
type eventLog struct {
	first   uint64 // position of entries[0]
	entries []*logged
}

// logged is an event that was emitted.
type logged struct {
	offset  string // names it to clients
	origin  Origin // names it to servers
	at      time.Time
	to      room.Selector
	out     *outgoing
	msgs    messages // nil where nobody needed that encoding so far
	size    int64    // bytes
	removed bool     // from the log
}

// eventOverhead is what an event in the log costs beyond its bytes, about.
const eventOverhead = 300

// newLogged is o as it is logged. It is called under no lock.
func newLogged(o *Emit, origin Origin, out *outgoing) *logged {
	l := &logged{offset: out.offset, origin: origin, at: time.Now(), to: o.To.Selector, out: out}
	l.size = eventOverhead + out.size()
	for _, names := range [][]string{l.to.Rooms, l.to.Except, l.to.IDs, l.to.Users} {
		for _, name := range names {
			l.size += int64(len(name)) + 16
		}
	}
	return l
}

// encoded adds an encoding, and returns by how many bytes that makes the log
// larger.
func (l *logged) encoded(e parser.Encoding, msgs []*engineio.Message) int64 {
	if l.msgs[e] != nil || msgs == nil {
		return 0
	}
	l.msgs[e] = msgs
	if l.removed {
		return 0 // who comes back may still hold it
	}
	n := l.out.size()
	l.size += n
	return n
}

// size is about what the packet costs in one encoding, in bytes.
func (o *outgoing) size() int64 {
	n := len(o.event) + len(o.args) + len(o.key)
	for _, a := range o.packet.Attachments {
		n += len(a)
	}
	return int64(n)
}

// next is the position of the next event.
func (g *eventLog) next() uint64 { return g.first + uint64(len(g.entries)) }

func (g *eventLog) append(l *logged) { g.entries = append(g.entries, l) }

// oldest returns the oldest event, nil if there is none.
func (g *eventLog) oldest() *logged {
	if len(g.entries) == 0 {
		return nil
	}
	return g.entries[0]
}

// removeOldest removes the oldest event and returns its size.
func (g *eventLog) removeOldest() int64 {
	size := g.entries[0].size
	g.entries[0].removed = true
	g.entries[0] = nil
	g.entries = g.entries[1:]
	g.first++
	return size
}

// from returns the events from a position on, false if some of them are gone.
func (g *eventLog) from(position uint64) ([]*logged, bool) {
	if position < g.first {
		return nil, false
	}
	return g.entries[min(position-g.first, uint64(len(g.entries))):], true
}

// after returns the position behind the event with this offset. Offsets are as
// good as ordered, and what clients ask for is late.
func (g *eventLog) after(offset string) (position uint64, ok bool) {
	for i := len(g.entries) - 1; i >= 0; i-- {
		if g.entries[i].offset == offset {
			return g.first + uint64(i) + 1, true
		}
	}
	return 0, false
}

// formatOffset is the offset of the event with this number: short, since every event
// carries it. Clients that come from another server bring its offsets, so those of
// servers with an epoch begin with it.
func formatOffset(epoch string, number uint64) string {
	return epoch + strconv.FormatUint(number, 36)
}
