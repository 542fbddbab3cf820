package link

import (
	"context"
	"time"
)

// write publishes what there is to say, until the link ends. All that waits goes into
// one packet.
func (p *peer) write() {
	subject := p.mesh.subject("link." + p.self.Epoch)
	var buffer []byte
	for {
		k := p.nextPacket()
		if k == nil {
			select {
			case <-p.wake:
				continue
			case <-p.done:
				return
			}
		}
		buffer = k.append(buffer[:0])
		if err := p.mesh.bus.Publish(subject, "", buffer); err != nil {
			// It is repeated when the peer does not acknowledge it.
			p.mesh.log.Debug("the bus does not take a packet", "node", p.self.Name, "error", err)
		}
	}
}

// nextPacket returns what there is to say, nil if there is nothing.
func (p *peer) nextPacket() *packet {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return nil
	}
	k := &packet{from: p.mesh.self.Epoch, to: p.self.Epoch, life: p.life, turn: p.turn, handled: p.in.handled, received: p.in.received}
	if p.life != 0 {
		k.first, k.pieces = p.out.take(p.mesh.opts.WindowBytes, time.Now())
	}
	for _, f := range []struct {
		due  *bool
		flag byte
	}{{&p.answerDue, flagAnswer}, {&p.askDue, flagAsk}, {&p.gapDue, flagGap}} {
		if *f.due {
			k.flags |= f.flag
			*f.due = false
		}
	}
	if k.flags == 0 && len(k.pieces) == 0 {
		return nil
	}
	p.in.owed = 0
	return k
}

// Send sends a message to a peer, after those before it, and returns its place in the
// stream. The message must not change any more. It waits while too much is on its way,
// for SendWait or until ctx is done. Errors, after which the message is not sent:
// [ErrNoPeer], [ErrSuspected], [ErrFull], [ErrTooLarge], [ErrClosed].
func (m *Mesh) Send(ctx context.Context, epoch string, message []byte) (Position, error) {
	if len(message) > MaxMessage {
		return Position{}, ErrTooLarge
	}
	p := m.peer(epoch)
	if p == nil {
		return Position{}, ErrNoPeer
	}
	var late <-chan time.Time
	for {
		at, moved, err := p.add(message)
		if moved == nil {
			return at, err
		}
		if late == nil {
			timer := time.NewTimer(m.opts.SendWait)
			defer timer.Stop()
			late = timer.C
		}
		select {
		case <-moved:
			continue
		case <-p.done:
			return Position{}, ErrNoPeer
		case <-late:
		case <-ctx.Done():
		}
		p.mu.Lock()
		p.traffic.Refused++
		p.mu.Unlock()
		return Position{}, ErrFull
	}
}

// add adds a message to the stream. moved is not nil if there is no room: it is closed
// when there may be some.
func (p *peer) add(message []byte) (at Position, moved <-chan struct{}, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.ended:
		return Position{}, nil, ErrNoPeer
	case p.state == Suspected:
		p.traffic.Refused++
		return Position{}, nil, ErrSuspected
	case !p.out.fits(len(message), p.mesh.opts.RingBytes):
		return Position{}, p.out.moved, nil
	}
	number := p.out.add(message, time.Now())
	p.traffic.Sent++
	poke(p.wake)
	return Position{peer: p, number: number}, nil, nil
}

// Confirmed waits until the peer's handler has returned from everything up to at, which
// Send returned for it. Errors: [ErrNoPeer] if the peer is gone, or the link began anew,
// and what was sent may be lost; [ErrSuspected]; and the cause of ctx's end.
func (m *Mesh) Confirmed(ctx context.Context, epoch string, at Position) error {
	if at.peer == nil || m.peer(epoch) != at.peer {
		return ErrNoPeer
	}
	return at.peer.confirmed(ctx, at.number)
}

func (p *peer) confirmed(ctx context.Context, number uint64) error {
	for {
		moved, err := p.confirmedYet(number)
		if moved == nil {
			return err
		}
		select {
		case <-moved:
		case <-p.done:
			return ErrNoPeer
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// confirmedYet is confirmed if it need not wait; else moved is closed when it is worth
// looking again.
func (p *peer) confirmedYet(number uint64) (moved <-chan struct{}, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case number < p.out.base:
		return nil, nil
	case p.ended:
		return nil, ErrNoPeer
	case p.state == Suspected:
		return nil, ErrSuspected
	}
	p.askDue = true // it acknowledges at once what it has handled
	poke(p.wake)
	return p.out.moved, nil
}

// flush waits until everything is acknowledged.
func (p *peer) flush(ctx context.Context) error {
	p.mu.Lock()
	last := p.out.next() - 1
	p.mu.Unlock()
	if err := p.confirmed(ctx, last); ctx.Err() != nil {
		return err
	}
	return nil
}
