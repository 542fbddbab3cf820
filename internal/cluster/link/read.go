package link

// read calls the handler with what arrives, until the link ends.
func (p *peer) read() {
	defer close(p.quiet)
	if p.before != nil {
		<-p.before.quiet
		p.before = nil
	}
	var message []byte // of which not all pieces have come
	for {
		events := p.takeEvents()
		for i := range events {
			if p.over() {
				break
			}
			switch e := &events[i]; e.kind {
			case eventJoined:
				p.mesh.handler.Joined(p.snapshot())
				p.joined.Store(true)
			case eventChanged:
				p.mesh.handler.Changed(p.snapshot())
			case eventPiece:
				message = p.readPiece(message, e)
			}
		}
		if len(events) > 0 {
			continue
		}
		select {
		case <-p.arrived:
			continue
		case <-p.done:
		}
		if p.joined.Load() {
			p.mesh.handler.Gone(p.snapshot())
		}
		return
	}
}

// over reports whether the link has ended.
func (p *peer) over() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// readPiece hands a message over if this was its last piece, and returns what is there
// of the next one.
func (p *peer) readPiece(message []byte, e *event) []byte {
	switch {
	case e.part == wholeMessage:
		message = e.data
	case e.part&partFirst != 0:
		message = append([]byte(nil), e.data...)
	case len(message)+len(e.data) <= MaxMessage:
		message = append(message, e.data...)
	}
	if e.part&partLast != 0 {
		p.mesh.handler.Receive(p.snapshot(), message)
		message = nil
	}
	p.handled(e)
	return message
}

// takeEvents returns what is to be handled.
func (p *peer) takeEvents() []event {
	p.mu.Lock()
	defer p.mu.Unlock()
	events := p.in.events
	p.in.events = nil
	return events
}

// handled notes that a piece has been handled, and has that acknowledged: at once if
// nothing follows and the peer wants to know, else after some, or in a while.
func (p *peer) handled(e *event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.in.handled = e.number
	p.in.bytes -= len(e.data) + keptOverhead
	if e.part&partLast != 0 {
		p.traffic.Received++
	}
	if p.in.owed++; p.in.owed >= ackEvery || p.in.handled == p.in.received && p.in.wanted {
		p.in.wanted = false
		p.answerDue = true
		poke(p.wake)
	}
}
