package engineio

// keyed is what a packet that may be replaced while it waits is replaced by, and how
// much of a queue it is.
type keyed struct {
	key             string
	messages, bytes int
}

// Conflate marks msgs, one packet with its attachments, as replaced, in every outbox where it
// still waits, by the next that is sent with [Session.SendConflated] and has the same key. It
// must be called before they are sent for the first time.
func Conflate(key string, msgs []*Message) {
	k := &keyed{key: key, messages: len(msgs)}
	for _, m := range msgs {
		k.bytes += m.size()
	}
	msgs[0].keyed = k
}

// fewWaiting is how many messages may wait for a packet to be looked for among them one by
// one. That is faster than an index of them, which is made anew for each queue.
const fewWaiting = 32

// keyIndex says where in a queue the packets with keys begin. It is made when more than a few
// messages wait and one comes that may replace another, and looks at each message once.
type keyIndex struct {
	places  map[string]int // of each key the newest
	indexed int            // messages of the queue, from its beginning, that were looked at
}

// pushConflated is push for a packet that [Conflate] has marked. One with the same key that
// still waits is dropped for it, and it comes last: what is sent keeps the order in which it
// was pushed.
func (o *outbox) pushConflated(msgs ...*Message) (replaced bool, err error) {
	k := msgs[0].keyed
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.sealed {
		return false, errOutboxClosed
	}
	var old *keyed
	at, replaced := o.findLocked(k.key)
	waits := o.bytes
	if replaced {
		old = o.queue[at].keyed
		waits -= old.bytes
	}
	if waits+k.bytes > o.limit {
		return false, errOutboxFull
	}
	if replaced {
		if o.keys != nil {
			delete(o.keys.places, k.key)
		}
		o.dropLocked(span{at, old.messages, old.bytes})
	}
	o.appendLocked(k.bytes, msgs...)
	return replaced, nil
}

// findLocked returns where the newest packet with this key waits.
func (o *outbox) findLocked(key string) (at int, found bool) {
	if len(o.queue) <= fewWaiting {
		for i := len(o.queue) - 1; i >= 0; i-- {
			if m := o.queue[i]; m != nil && m.keyed != nil && m.keyed.key == key {
				return i, true
			}
		}
		return 0, false
	}
	if o.keys == nil {
		o.keys = &keyIndex{places: map[string]int{}}
	}
	x := o.keys
	for i, m := range o.queue[x.indexed:] {
		if m != nil && m.keyed != nil {
			x.places[m.keyed.key] = x.indexed + i
		}
	}
	x.indexed = len(o.queue)
	at, found = x.places[key]
	return at, found
}

// dropLocked takes a packet out of the queue, for good. Its place stays empty until many are.
func (o *outbox) dropLocked(p span) {
	clear(o.queue[p.start : p.start+p.messages])
	o.gaps += int32(p.messages)
	o.bytes -= p.bytes
	if int(o.gaps) > len(o.queue)/2 {
		o.closeGapsLocked()
	}
}

// closeGapsLocked moves what waits together.
func (o *outbox) closeGapsLocked() {
	if o.gaps == 0 {
		return
	}
	var latest []span
	if o.latest != nil {
		latest = o.latest.packets
	}
	n, pongs := 0, o.pongs
	for i, m := range o.queue {
		if m == nil {
			continue
		}
		if len(latest) > 0 && latest[0].start == i {
			latest[0].start, latest = n, latest[1:]
		}
		for j, p := range pongs {
			if int(p) == i+1 {
				o.pongs[j] = int32(n + 1)
			}
		}
		o.queue[n] = m
		n++
	}
	clear(o.queue[n:])
	o.queue, o.gaps = o.queue[:n], 0
	o.keys.forget()
}

// forget is called when messages have left the queue or moved within it.
func (x *keyIndex) forget() {
	if x != nil {
		clear(x.places)
		x.indexed = 0
	}
}
