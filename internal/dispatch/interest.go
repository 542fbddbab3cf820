package dispatch

import (
	"maps"
	"slices"

	"github.com/fanoutd/fanoutd/internal/sio"
)

// namespaceSet is a set of namespaces by names and patterns. The zero value is
// empty.
type namespaceSet struct {
	everything bool
	names      map[string]bool
	patterns   map[string]sio.Pattern // by their text
}

// newNamespaceSet returns the set of a list of names and patterns, which is empty, or
// has [sio.EveryNamespace], for everything.
func newNamespaceSet(list []string) namespaceSet {
	s := namespaceSet{names: map[string]bool{}, patterns: map[string]sio.Pattern{}}
	if len(list) == 0 || slices.Contains(list, sio.EveryNamespace) {
		s.everything = true
		return s
	}
	for _, name := range list {
		if sio.Spans(name) {
			s.patterns[name] = sio.NewPattern(name)
		} else {
			s.names[name] = true
		}
	}
	return s
}

func (s *namespaceSet) empty() bool { return !s.everything && len(s.names)+len(s.patterns) == 0 }

// contains reports whether the namespace is in the set.
func (s *namespaceSet) contains(namespace string) bool {
	if s.everything || s.names[namespace] {
		return true
	}
	for _, p := range s.patterns {
		if p.Matches(namespace) {
			return true
		}
	}
	return false
}

// includes reports whether all of o is in the set, as far as that is plain to see: a
// pattern is included by itself only.
func (s *namespaceSet) includes(o *namespaceSet) bool {
	if s.everything || o.everything {
		return s.everything
	}
	for name := range o.names {
		if !s.contains(name) {
			return false
		}
	}
	for name := range o.patterns {
		if _, ok := s.patterns[name]; !ok {
			return false
		}
	}
	return true
}

// union returns the set of what is in either. Neither is changed.
func (s *namespaceSet) union(o *namespaceSet) namespaceSet {
	u := namespaceSet{everything: s.everything || o.everything, names: map[string]bool{}, patterns: map[string]sio.Pattern{}}
	for _, x := range []*namespaceSet{s, o} {
		maps.Copy(u.names, x.names)
		maps.Copy(u.patterns, x.patterns)
	}
	return u
}

// list returns the names and patterns in order; [sio.EveryNamespace] stands for everything.
func (s *namespaceSet) list() []string {
	if s.everything {
		return []string{sio.EveryNamespace}
	}
	list := slices.AppendSeq(slices.Collect(maps.Keys(s.names)), maps.Keys(s.patterns))
	slices.Sort(list)
	return list
}

// interest is what a consumer asked for.
type interest struct {
	namespaces           namespaceSet
	events               map[string]bool // names of messages; nil: all
	lifecycle, authorize bool
	skipExisting         bool // of lifecycle, those that are Existing
	recoveryExpired      bool
}

func newInterest(o *SubscriptionOptions) interest {
	if o.NoEvents {
		return interest{}
	}
	i := interest{namespaces: newNamespaceSet(o.Namespaces), lifecycle: o.Lifecycle, authorize: o.Authorize, skipExisting: o.SkipExisting, recoveryExpired: o.RecoveryExpired}
	if len(o.Events) > 0 {
		i.events = map[string]bool{}
		for _, name := range o.Events {
			i.events[name] = true
		}
	}
	return i
}

// serves reports whether anything of the namespace is asked for.
func (i *interest) serves(namespace string) bool { return i.namespaces.contains(namespace) }

// wants reports whether the event is one that was asked for.
func (i *interest) wants(e *Event) bool {
	if !i.serves(e.Namespace) {
		return false
	}
	switch e.Kind {
	case Connecting:
		return i.authorize
	case Message:
		return i.events == nil || i.events[e.Name]
	case RecoveryExpired:
		return i.recoveryExpired
	}
	return i.lifecycle && !(e.Existing && i.skipExisting)
}

// coversIn reports whether what o asks for in the namespace is asked for too.
func (i *interest) coversIn(namespace string, o *interest) bool {
	return i.serves(namespace) && i.coversKinds(o)
}

// covers reports whether all that o asks for is asked for too.
func (i *interest) covers(o *interest) bool {
	return i.namespaces.includes(&o.namespaces) && i.coversKinds(o)
}

// coversKinds is coversIn for any namespace that both have. Who authorises does not
// matter to a connection that is let in.
func (i *interest) coversKinds(o *interest) bool {
	if o.lifecycle && (!i.lifecycle || i.skipExisting && !o.skipExisting) || o.recoveryExpired && !i.recoveryExpired || i.events != nil && o.events == nil {
		return false
	}
	for name := range o.events {
		if i.events != nil && !i.events[name] {
			return false
		}
	}
	return true
}

// equal reports whether both are the same but for what they authorise.
func (i *interest) equal(o *interest) bool {
	return i.lifecycle == o.lifecycle && i.skipExisting == o.skipExisting && i.recoveryExpired == o.recoveryExpired && (i.events == nil) == (o.events == nil) && maps.Equal(i.events, o.events) &&
		slices.Equal(i.namespaces.list(), o.namespaces.list())
}
