package link

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"log/slog"
	"time"
)

// EpochLength is the length of an epoch: characters of the URL-safe base64 alphabet.
const EpochLength = 5

// Self is what a node tells of itself.
type Self struct {
	Name    string
	Epoch   string // new at each start; EpochLength characters
	Address string // host:port where requests of browsers are handed over to it; empty: nowhere
	Version string
	// Features are bits for what a node can do that others may not.
	Features uint64
}

// NewEpoch draws an epoch: 30 random bits.
func NewEpoch() string {
	var b [4]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b[:])[:EpochLength]
}

// State is whether a peer answers.
type State int

const (
	Alive     State = iota
	Suspected       // it is silent, or does not acknowledge
)

// Peer is what is known of another node at one moment.
type Peer struct {
	Self
	Started     time.Time // as it says
	Connections int       // as it said last
	Load        float64   // likewise
	Activity    *Activity // likewise; nil: it has not said. Not to be changed
	State       State
	Since       time.Time // when State began
	Left        bool      // in the last call for it: it said goodbye

	Traffic
}

// Traffic counts what a link has carried.
type Traffic struct {
	Sent     uint64 // messages
	Received uint64 // messages
	Repaired uint64 // times that what had not arrived was sent once more
	Refused  uint64 // messages that were not taken for the peer
	Dropped  uint64 // messages that were taken, and on their way when it was gone or began anew
}

// Add adds what another link has carried.
func (t *Traffic) Add(o Traffic) {
	t.Sent += o.Sent
	t.Received += o.Received
	t.Repaired += o.Repaired
	t.Refused += o.Refused
	t.Dropped += o.Dropped
}

// Handler hears of peers. Calls for one peer come one at a time, in order; a call may
// take its time, which holds up that peer's messages only. It must not call
// [Mesh.Confirmed] for the same peer.
type Handler interface {
	// Joined is the first call for a peer. What is sent to it from now on arrives after
	// it was told of this node likewise.
	Joined(Peer)
	// Receive brings a message of the peer, the handler's own.
	Receive(p Peer, message []byte)
	// Changed tells that the peer's State is another.
	Changed(Peer)
	// Gone is the last call for a peer, unless it joins anew: it said goodbye, was silent
	// for too long, is back with another epoch, or its link had to begin anew. What was
	// on its way in either direction may be lost.
	Gone(Peer)
}

// Options of a [Mesh].
type Options struct {
	// Cluster names the cluster: nodes of others on the same bus are not seen.
	// Default "fanoutd".
	Cluster string
	// Announce is how often nodes announce themselves. Default 1 s.
	Announce time.Duration
	// JoinWait is how long New waits for the first announcements of peers, at least; five
	// times that at most. Default 1 s; negative: not at all.
	JoinWait time.Duration
	// SuspectAfter is how long a peer may be silent, or owe an acknowledgement. Default 3 s.
	SuspectAfter time.Duration
	// GoneAfter is how long a suspected peer is kept. Default 60 s.
	GoneAfter time.Duration
	// SendWait is how long Send waits for room. Default 2 s.
	SendWait time.Duration
	// RingBytes bounds what is kept for one peer until it acknowledges. Default 16 MiB,
	// which is two seconds of 8 MiB/s. One message more than fits is taken if the ring is
	// empty.
	RingBytes int
	// WindowBytes bounds what of that is on its way at once: a bus drops what a receiver
	// is too slow for. Default 4 MiB.
	WindowBytes int
	// Connections tells how many connections the node has, for its announcements.
	// May be nil.
	Connections func() int
	// Load tells how busy the node is, for the same; see loadmeter.Load. May be nil.
	Load func() float64
	// Activity tells what the node does for browsers, for the same. May be nil.
	Activity func() Activity
	// Logger. Default: slog.Default().
	Logger *slog.Logger
}

// Bounds that are not worth a setting.
const (
	// MaxMessage bounds one message.
	MaxMessage = 32 << 20
	// maxPeers bounds the peers: more are not seen.
	maxPeers = 256

	packetBytes = 256 << 10             // of messages in one packet, about
	pieceBytes  = 256 << 10             // larger messages travel in pieces
	ackEvery    = 64                    // pieces
	tick        = 50 * time.Millisecond // for acknowledgements that nobody waits for, repeats and suspicions
	firstRepeat = 200 * time.Millisecond
	lastRepeat  = time.Second
)

func (o Options) withDefaults() Options {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&o.Announce, time.Second)
	def(&o.JoinWait, time.Second)
	def(&o.SuspectAfter, 3*time.Second)
	def(&o.GoneAfter, time.Minute)
	def(&o.SendWait, 2*time.Second)
	if o.Cluster == "" {
		o.Cluster = "fanoutd"
	}
	if o.RingBytes == 0 {
		o.RingBytes = 16 << 20
	}
	if o.WindowBytes == 0 {
		o.WindowBytes = 4 << 20
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

var (
	// ErrNoPeer: there is no such peer.
	ErrNoPeer = errors.New("link: no such node")
	// ErrSuspected: the peer does not answer at present.
	ErrSuspected = errors.New("link: the node does not answer")
	// ErrFull: the peer has not taken enough in time.
	ErrFull = errors.New("link: too much is on its way to the node")
	// ErrTooLarge: the message is longer than MaxMessage.
	ErrTooLarge = errors.New("link: message too large")
	// ErrClosed: the mesh is closed.
	ErrClosed = errors.New("link: closed")
	// ErrEpochTaken: another node of the cluster has this epoch. Another one has to be
	// drawn.
	ErrEpochTaken = errors.New("link: another node has this epoch")
)

// Position is a place in the stream to a peer: behind a message.
type Position struct {
	peer   *peer
	number uint64 // of the message's last piece
}
