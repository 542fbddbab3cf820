package link

import (
	"sync"
	"sync/atomic"
	"time"
)

// peer is the link to one other node, in both directions, from when the two met.
//
// Both ends must begin together. The one with the smaller epoch leads: it gives the link
// its life, a number that grows. The other follows: it says which turn this is for it, a
// number that grows too, and adopts the life that the leader has for that turn. A leader
// that hears of a later turn begins anew; so does a follower whose leader says that it
// has no life for its turn. Packets of another life or turn are not taken.
type peer struct {
	mesh    *Mesh
	leads   bool          // this end does
	before  *peer         // the one before it, whose calls of the handler come first; nil: none
	wake    chan struct{} // holds one: write is to look
	arrived chan struct{} // holds one: read is to look
	done    chan struct{} // closed by end
	quiet   chan struct{} // closed when read has returned
	joined  atomic.Bool   // the handler has heard of it

	started time.Time

	mu          sync.Mutex
	self        Self
	connections int
	load        float64
	activity    *Activity
	ended       bool
	left        bool // it said goodbye
	state       State
	since       time.Time // of state
	answered    time.Time // when it answered last; at first when it was met
	asked       time.Time // when it was asked last without having answered since; zero: it has
	life        uint32    // 0: none yet
	turn        uint32    // the follower's
	out         stream
	in          inbox

	traffic Traffic

	answerDue, askDue, gapDue bool // what the next packet says
}

func newPeer(m *Mesh, a *announcement, before *peer) *peer {
	now := time.Now()
	p := &peer{
		mesh: m, leads: m.self.Epoch < a.Epoch, before: before,
		wake: make(chan struct{}, 1), arrived: make(chan struct{}, 1), done: make(chan struct{}), quiet: make(chan struct{}),
		started: a.Started, since: now, answered: now, askDue: true,
		self:        Self{Name: a.Name, Epoch: a.Epoch, Address: a.Address, Version: a.Version, Features: a.Features},
		connections: a.Connections, load: a.Load, activity: a.Activity,
		out: newStream(),
	}
	if !p.leads {
		p.turn = m.lives.Add(1)
	}
	p.in.events = append(p.in.events, event{kind: eventJoined})
	poke(p.arrived)
	poke(p.wake)
	return p
}

// poke makes whoever listens look, and never blocks.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// announced takes what the peer said of itself anew.
func (p *peer) announced(a *announcement) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.self.Address, p.self.Version, p.self.Features, p.connections, p.load, p.activity = a.Address, a.Version, a.Features, a.Connections, a.Load, a.Activity
}

// silent reports whether the peer is suspected, and that because it does not answer.
func (p *peer) silent() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state == Suspected && time.Since(p.answered) > p.mesh.opts.SuspectAfter
}

func (p *peer) snapshot() Peer {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.snapshotLocked()
}

func (p *peer) snapshotLocked() Peer {
	return Peer{
		Self: p.self, Started: p.started, Connections: p.connections, Load: p.load, Activity: p.activity, State: p.state, Since: p.since, Left: p.left,
		Traffic: p.traffic,
	}
}

// leaves notes that the peer has said goodbye, before its link ends.
func (p *peer) leaves() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left = true
}

// end ends the link. Later calls do nothing.
func (p *peer) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return
	}
	p.ended = true
	p.traffic.Dropped += p.out.messages
	close(p.done)
}

// take takes a packet of the peer.
func (p *peer) take(k *packet) {
	if p.takePacket(k) {
		p.mesh.renew(p)
	}
}

// takePacket is take, and reports whether the link has to begin anew.
func (p *peer) takePacket(k *packet) (anew bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return false
	}
	now := time.Now()
	if !p.leads {
		switch {
		case k.turn != p.turn: // of an earlier turn, or asks which this is
			p.answerDue = true
			poke(p.wake)
			return false
		case k.life == 0: // the leader knows nothing of this turn any more
			return p.life != 0
		case p.life == 0:
			p.life = k.life
			p.establishedLocked(now)
		case k.life != p.life:
			return k.life > p.life
		}
	} else {
		switch {
		case p.life == 0 && k.turn != 0 && k.life == 0: // it wants to begin
			p.turn, p.life = k.turn, p.mesh.lives.Add(1)
			p.establishedLocked(now)
		case k.life == 0 && k.turn > p.turn: // it has begun anew
			return true
		case k.life != p.life || k.turn != p.turn || k.life == 0:
			if p.life == 0 {
				p.turn = k.turn // so that it learns that there is no such life
			}
			p.answerDue = true
			poke(p.wake)
			return false
		}
	}
	p.establishedTakeLocked(k, now)
	return false
}

// establishedLocked begins the streams.
func (p *peer) establishedLocked(now time.Time) {
	p.answered = now
	p.asked = time.Time{}
	p.answerDue = true
	p.out.progress = now
	poke(p.wake)
}

// establishedTakeLocked takes a packet of this life.
func (p *peer) establishedTakeLocked(k *packet, now time.Time) {
	if k.flags&flagAnswer != 0 {
		p.answered, p.asked = now, time.Time{}
	}
	if p.out.acknowledge(k.handled, k.received, now) {
		p.answered, p.asked = now, time.Time{}
		poke(p.wake)
	}
	if k.flags&flagGap != 0 {
		p.countRepeatLocked(p.out.goBack())
		poke(p.wake)
	}
	if len(k.pieces) > 0 {
		if gap := p.in.take(k, p.mesh.opts.RingBytes); gap {
			if now.Sub(p.in.gapAsked) >= gapPause {
				p.in.gapAsked = now
				p.gapDue = true
				poke(p.wake)
			}
		}
		poke(p.arrived)
	}
	if k.flags&flagAsk != 0 {
		p.answerDue = true
		p.in.wanted = p.in.handled < p.in.received // and once more when that is done
		poke(p.wake)
	}
}

// countRepeatLocked counts a repeat, if it was one.
func (p *peer) countRepeatLocked(repeated bool) {
	if repeated {
		p.traffic.Repaired++
	}
}

// gapPause is how long one gap is not asked for again.
const gapPause = 20 * time.Millisecond

// due does what is due by time, and reports whether the peer is to be given up. ask has
// it asked whether it is there.
func (p *peer) due(now time.Time, ask bool) (gone bool) {
	o := &p.mesh.opts
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return false
	}
	// One that does not begin is asked often at first: whoever does not know this node
	// answers with an announcement to all.
	if ask || p.life == 0 && p.state == Alive {
		p.askDue = true
		if p.asked.IsZero() {
			p.asked = now
		}
		poke(p.wake)
	}
	if p.in.owed > 0 {
		p.answerDue = true
		poke(p.wake)
	}
	if p.life != 0 {
		due, repeated := p.out.repeatDue(now)
		p.countRepeatLocked(repeated)
		if due {
			p.askDue = true
			poke(p.wake)
		}
	}
	silent := !p.asked.IsZero() && now.Sub(p.answered) > o.SuspectAfter && now.Sub(p.asked) > o.SuspectAfter-o.Announce
	owes := p.out.messages > 0 && now.Sub(p.out.progress) > o.SuspectAfter
	state := Alive
	if silent || owes {
		state = Suspected
	}
	if state != p.state {
		p.state, p.since = state, now
		p.in.events = append(p.in.events, event{kind: eventChanged})
		p.out.changed() // who waits for room, or a confirmation, looks
		poke(p.arrived)
	}
	return p.state == Suspected && now.Sub(p.since) >= o.GoneAfter
}
