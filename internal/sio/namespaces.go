package sio

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unicode"
)

// maxNamespaceName bounds, in bytes, the name of a namespace that a client makes
// up within a pattern: it is kept for as long as the namespace.
const maxNamespaceName = 256

// namespaces are those of one server: some have names of their own and last;
// children of a pattern exist while somebody is in them.
type namespaces struct {
	// Immutable.
	server      *Server
	named       map[string]*Namespace
	patterns    []Pattern // EveryNamespace last
	maxChildren int

	watchBytes atomic.Int64 // that wait for the readers of all watches

	mu       sync.RWMutex
	children map[string]*Namespace
	// undecided are those that would be children, and that nobody was let into yet: any
	// client may name one. They are not listed, and take no child's place.
	undecided map[string]*Namespace
	ordered   []*Namespace // named ones and children, by name
	watches   []*serverWatch
}

func newNamespaces(s *Server, names []string, maxChildren int) (*namespaces, error) {
	ns := &namespaces{
		server: s, maxChildren: maxChildren,
		named: map[string]*Namespace{}, children: map[string]*Namespace{}, undecided: map[string]*Namespace{},
	}
	every := false
	for _, name := range names {
		if err := CheckNamespace(name); err != nil {
			return nil, err
		}
		switch {
		case name == EveryNamespace:
			every = true
		case Spans(name):
			ns.patterns = append(ns.patterns, NewPattern(name))
		}
	}
	if every {
		ns.patterns = append(ns.patterns, NewPattern(EveryNamespace))
	}
	for _, name := range names { // once all patterns are known, which say something of names too
		if !Spans(name) && ns.named[name] == nil {
			ns.named[name] = ns.lasting(name)
			ns.insertLocked(ns.named[name]) // nobody else has ns yet
		}
	}
	for name := range s.opts.VolatileIn {
		if !slices.Contains(names, name) {
			return nil, fmt.Errorf("there is no namespace %q to drop volatile events in", name)
		}
	}
	return ns, nil
}

// find returns the namespace with this name, for operations on it, or nil if
// there can be none. A child that is not there now is an empty one: whatever is
// done to it reaches nobody.
func (ns *namespaces) find(name string) *Namespace {
	if n := ns.named[name]; n != nil {
		return n
	}
	ns.mu.RLock()
	n := ns.children[name]
	ns.mu.RUnlock()
	if n == nil && ns.matches(name) {
		n = newNamespace(ns.server, name)
	}
	return n
}

var errInvalidNamespace = &Refusal{Message: MessageInvalidNamespace}

// possible reports whether clients may join a namespace with this name.
func (ns *namespaces) possible(name string) bool {
	return ns.named[name] != nil || ns.matches(name)
}

// errTooManyNamespaces is why no more children come into being.
var errTooManyNamespaces = &Unavailable{Message: "too many namespaces"}

// acquire returns the namespace with this name for a client that wants to join,
// and keeps it in memory until release; it is there for others once somebody has entered.
// Errors: errInvalidNamespace, and errTooManyNamespaces.
func (ns *namespaces) acquire(name string) (*Namespace, error) {
	if n := ns.named[name]; n != nil {
		return n, nil
	}
	if !ns.matches(name) {
		return nil, errInvalidNamespace
	}
	ns.mu.Lock()
	defer ns.mu.Unlock()
	n := ns.children[name]
	if n == nil {
		if len(ns.children) >= ns.maxChildren {
			return nil, errTooManyNamespaces
		}
		if n = ns.undecided[name]; n == nil {
			n = ns.lasting(name)
			ns.undecided[name] = n
		}
	}
	n.references++
	return n, nil
}

// enter makes a namespace that was acquired one that is there, if it is not, for somebody
// who was let in. Error: errTooManyNamespaces.
func (ns *namespaces) enter(n *Namespace) error {
	if ns.named[n.name] == n {
		return nil
	}
	ns.mu.Lock()
	defer ns.mu.Unlock()
	switch {
	case ns.children[n.name] == n:
		return nil
	case len(ns.children) >= ns.maxChildren:
		return errTooManyNamespaces
	}
	ns.watchNewLocked(n)
	delete(ns.undecided, n.name)
	ns.children[n.name] = n
	ns.insertLocked(n)
	return nil
}

// release gives up what acquire or retain took: a child that nobody needs goes.
func (ns *namespaces) release(n *Namespace) {
	if ns.named[n.name] == n {
		return
	}
	ns.mu.Lock()
	defer ns.mu.Unlock()
	if n.references--; n.references > 0 {
		return
	}
	delete(ns.undecided, n.name)
	if ns.children[n.name] == n {
		delete(ns.children, n.name)
		ns.removeLocked(n)
	}
}

// retain is acquire for somebody who knows that the namespace is there.
func (ns *namespaces) retain(n *Namespace) {
	if ns.named[n.name] == n {
		return
	}
	ns.mu.Lock()
	defer ns.mu.Unlock()
	n.references++
}

// lasting returns a namespace that clients can be in, and come back to.
func (ns *namespaces) lasting(name string) *Namespace {
	n := newNamespace(ns.server, name)
	n.volatile = ns.volatile(name)
	if ns.server.opts.RecoveryWindow > 0 {
		n.recovery = newRecovery(n)
	}
	return n
}

// matches reports whether name can be that of a child.
func (ns *namespaces) matches(name string) bool {
	if len(name) > maxNamespaceName || strings.Contains(name, "*") || CheckNamespace(name) != nil ||
		strings.ContainsFunc(name, unicode.IsControl) {
		return false
	}
	return ns.pattern(name) != ""
}

// pattern returns the first pattern that name matches, empty if there is none.
func (ns *namespaces) pattern(name string) string {
	for _, p := range ns.patterns {
		if p.Matches(name) {
			return p.name
		}
	}
	return ""
}

// volatile returns the policy of the namespace with this name.
func (ns *namespaces) volatile(name string) VolatilePolicy {
	o := &ns.server.opts
	for _, key := range []string{name, ns.pattern(name)} {
		if p, ok := o.VolatileIn[key]; ok {
			return p
		}
	}
	return o.Volatile
}

// all returns the namespaces there are now, by name.
func (ns *namespaces) all() []*Namespace {
	ns.mu.RLock()
	defer ns.mu.RUnlock()
	return slices.Clone(ns.ordered)
}

// page returns up to limit of the namespaces there are now whose names have the
// prefix and come after after, by name, and whether there are more. It costs as
// much as the page.
func (ns *namespaces) page(prefix, after string, limit int) (page []*Namespace, more bool) {
	if limit <= 0 {
		return nil, false
	}
	ns.mu.RLock()
	defer ns.mu.RUnlock()
	begin, found := ns.searchLocked(max(prefix, after))
	if found && ns.ordered[begin].name == after {
		begin++
	}
	for _, n := range ns.ordered[begin:] {
		if !strings.HasPrefix(n.name, prefix) {
			break
		}
		if len(page) == limit {
			return page, true
		}
		page = append(page, n)
	}
	return page, false
}

// searchLocked returns where a namespace of this name is in ns.ordered, or would
// be.
func (ns *namespaces) searchLocked(name string) (at int, found bool) {
	return slices.BinarySearchFunc(ns.ordered, name, func(n *Namespace, name string) int { return strings.Compare(n.name, name) })
}

// insertLocked adds n to those there are. Moving the rest of ten thousand pointers
// takes microseconds.
func (ns *namespaces) insertLocked(n *Namespace) {
	at, _ := ns.searchLocked(n.name)
	ns.ordered = slices.Insert(ns.ordered, at, n)
}

// removeLocked is the inverse of insertLocked.
func (ns *namespaces) removeLocked(n *Namespace) {
	if at, found := ns.searchLocked(n.name); found {
		ns.ordered = slices.Delete(ns.ordered, at, at+1)
	}
}
