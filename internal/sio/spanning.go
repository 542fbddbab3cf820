package sio

import (
	"context"
	"slices"
	"strings"

	"github.com/fanoutd/fanoutd/internal/sio/engineio"
)

// Targets whose namespace is a pattern span the namespaces that there are and match it.

// spanned returns the namespaces that a pattern means, by name; false: none can be there.
func (ns *namespaces) spanned(pattern string) ([]*Namespace, bool) {
	if !ns.overlaps(pattern) {
		return nil, false
	}
	p := NewPattern(pattern)
	return slices.DeleteFunc(ns.all(), func(n *Namespace) bool { return !p.Matches(n.name) }), true
}

// overlaps reports whether the pattern can match the name of a namespace.
func (ns *namespaces) overlaps(pattern string) bool {
	overlaps := func(served string) bool { return Overlap(served, pattern) }
	return CheckNamespace(pattern) == nil && slices.ContainsFunc(ns.server.opts.Namespaces, overlaps)
}

// meant returns the namespaces that a target means, by name; false: there can be none.
func (ns *namespaces) meant(namespace string) ([]*Namespace, bool) {
	if Spans(namespace) {
		return ns.spanned(namespace)
	}
	n := ns.find(namespace)
	return []*Namespace{n}, n != nil
}

// applySpanning carries out an operation in each of the namespaces. What fails in one is
// carried out in the others: the error counts if nothing else was done, else the Result is
// Partial. queued is as in apply.
func (s *Server) applySpanning(ctx context.Context, all []*Namespace, op Op, number uint64) (sum Result, queued []*engineio.Message, err error) {
	sum.Number = number
	for _, n := range all {
		result, q, failed := n.apply(ctx, op, number)
		if failed != nil {
			err = failed
			continue
		}
		sum.Matched += result.Matched
		if q != nil {
			queued = q
		}
	}
	if err == nil || sum.Matched == 0 {
		return sum, queued, err
	}
	sum.Partial = true
	return sum, queued, nil
}

// connectionsSpanning is Connections over several namespaces, one after the other.
func (s *Server) connectionsSpanning(ctx context.Context, all []*Namespace, to Target, cursor string, limit int) (page ConnectionPage, err error) {
	name, ok := "", true
	if cursor != "" {
		// A cursor has two parts; the name of the namespace follows.
		at := strings.Index(cursor, "./")
		if ok = at >= 0; ok {
			cursor, name = cursor[:at], cursor[at+1:]
		}
	}
	after, valid := s.parseCursor(cursor)
	if !ok || !valid {
		return ConnectionPage{}, ErrBadCursor
	}
	last := ""
	for _, n := range all {
		if n.name < name {
			continue
		}
		if n.name != name {
			after = 0
		}
		if len(page.Connections) >= limit {
			page.Next = last
			return page, nil
		}
		part, err := n.connections(ctx, to, after, limit-len(page.Connections))
		if err != nil {
			return ConnectionPage{}, err
		}
		for i := range part.Connections {
			c := &part.Connections[i]
			c.Cursor += "." + n.name
			last = c.Cursor
		}
		page.Connections = append(page.Connections, part.Connections...)
		if part.Next != "" {
			page.Next = part.Next + "." + n.name
			return page, nil
		}
	}
	return page, nil
}
