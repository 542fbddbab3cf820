package engineio

import (
	"runtime"
	"sync/atomic"

	"github.com/fanoutd/fanoutd/internal/wsconn"
)

// Traffic is what went over one transport in one direction: packets of one type.
type Traffic struct {
	Transport string
	Type      string // of the Engine.IO packets: message, ping and so on
	Packets   uint64
	// Bytes are those of the packets themselves, a text packet's type included:
	// without frames, separators, base64, compression and HTTP.
	Bytes uint64
}

// The directions of traffic.
const (
	received = iota
	sent
	directions
)

// trafficTransports are the transports, in the order in which they are counted.
var trafficTransports = [...]string{transportPolling, transportWebSocket, transportWebTransport}

// packetTypes are the names of the packet types, packetOpen first.
var packetTypes = [...]string{"open", "close", "ping", "pong", "message", "upgrade", "noop"}

// traffic counts packets. Each session counts in one of its shards, which is that
// of its flusher, so that processors do not contend for a counter.
type traffic []trafficShard

type trafficShard struct {
	packets, bytes [directions][len(trafficTransports)][len(packetTypes)]atomic.Uint64
	_              [64]byte // no line of memory in common with the next
}

func newTraffic() traffic { return make(traffic, runtime.GOMAXPROCS(0)) }

func (t traffic) of(s *Session) *trafficShard { return &t[s.number%uint64(len(t))] }

// all returns what went in one direction, transports and types without any left out.
func (t traffic) all(direction int) []Traffic {
	var all []Traffic
	for i, transport := range trafficTransports {
		for j, kind := range packetTypes {
			sum := Traffic{Transport: transport, Type: kind}
			for shard := range t {
				sum.Packets += t[shard].packets[direction][i][j].Load()
				sum.Bytes += t[shard].bytes[direction][i][j].Load()
			}
			if sum.Packets > 0 {
				all = append(all, sum)
			}
		}
	}
	return all
}

// transportIndex is the place of a transport among trafficTransports.
func transportIndex(name string) int {
	for i, t := range trafficTransports {
		if t == name {
			return i
		}
	}
	panic("engineio: unknown transport " + name)
}

// countReceived counts a packet that came over a transport.
func (s *Session) countReceived(transport string, p inbound) {
	n := len(p.data)
	if !p.binary {
		n++ // its type
	}
	shard, i, kind := s.srv.traffic.of(s), transportIndex(transport), p.kind-packetOpen
	shard.packets[received][i][kind].Add(1)
	shard.bytes[received][i][kind].Add(uint64(n))
}

// countSent counts packets that are handed to a transport, before they are framed
// for it.
func (s *Session) countSent(transport string, msgs []*Message) {
	var packets, bytes [len(packetTypes)]uint64
	for _, m := range msgs {
		kind := byte(packetMessage - packetOpen)
		switch m.opcode {
		case wsconn.OpBinary:
		case wsconn.OpText:
			kind = m.frame[m.header] - packetOpen
		default: // a WebSocket's own
			continue
		}
		packets[kind]++
		bytes[kind] += uint64(len(m.frame) - m.header)
	}
	shard, i := s.srv.traffic.of(s), transportIndex(transport)
	for kind, n := range packets {
		if n > 0 {
			shard.packets[sent][i][kind].Add(n)
			shard.bytes[sent][i][kind].Add(bytes[kind])
		}
	}
}
