package sio

import (
	"slices"
	"sync"

	"github.com/fanoutd/fanoutd/internal/sio/parser"
)

// presence is where a client is: in which namespaces, and which it wants to be in.
// It repeats what conn has under conn.mu, for operations, which must not wait for
// that: it may be held for as long as a backend takes.
type presence struct {
	mu     sync.Mutex // a leaf
	places []place    // in the order of their CONNECT packets, one for each namespace
}

// place is one namespace of a client.
type place struct {
	namespace string
	encoding  parser.Encoding // that the client reads there
	socket    *Socket         // nil: its CONNECT is not answered yet
}

// request notes that the client wants to be in a namespace.
func (p *presence) request(namespace string, e parser.Encoding) { p.put(place{namespace, e, nil}) }

// join notes that s is a member.
func (p *presence) join(s *Socket) { p.put(place{s.nsp.name, s.encoding, s}) }

func (p *presence) put(at place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := p.indexLocked(at.namespace); i >= 0 {
		p.places[i] = at
		return
	}
	p.places = append(p.places, at)
}

// withdraw notes that the client does not wait for a namespace any more.
func (p *presence) withdraw(namespace string) { p.remove(namespace, nil) }

// leave notes that s is a member no more.
func (p *presence) leave(s *Socket) { p.remove(s.nsp.name, s) }

func (p *presence) remove(namespace string, s *Socket) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := p.indexLocked(namespace); i >= 0 && p.places[i].socket == s {
		p.places = slices.Delete(p.places, i, i+1)
	}
}

func (p *presence) indexLocked(namespace string) int {
	return slices.IndexFunc(p.places, func(at place) bool { return at.namespace == namespace })
}

// list returns the places as they are now.
func (p *presence) list() []place {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.places)
}
