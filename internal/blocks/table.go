package blocks

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Table is what one node knows. It is safe for concurrent use; its zero value is empty.
type Table struct {
	there atomic.Bool // anything; read without the lock by those who are asked often

	mu       sync.RWMutex
	users    map[string]*Entry
	prefixes map[netip.Prefix]*Entry
	lengths  [2][129]int // how many prefixes of IPv4 and of IPv6 have so many bits
	ordered  []*Entry    // all of them, by subject
	latest   int64       // Time of the latest stamp
	digest   Digest
}

// User reports whether a user is blocked now. Nobody, the empty name, never is.
func (t *Table) User(name string) bool {
	if name == "" || !t.there.Load() {
		return false
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	e := t.users[name]
	return e != nil && e.InForce(time.Now())
}

// Address reports whether an address is blocked now. An invalid one never is.
func (t *Table) Address(a netip.Addr) bool {
	if !a.IsValid() || !t.there.Load() {
		return false
	}
	a = a.Unmap().WithZone("")
	now := time.Now()
	t.mu.RLock()
	defer t.mu.RUnlock()
	for bits, n := range t.lengths[family(a)][:a.BitLen()+1] {
		if n == 0 {
			continue
		}
		p, _ := a.Prefix(bits) // it has as many bits
		if e := t.prefixes[p]; e != nil && e.InForce(now) {
			return true
		}
	}
	return false
}

func family(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}

// find returns the entry of a subject; nil: there is none.
func (t *Table) find(s Subject) *Entry {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.findLocked(s)
}

func (t *Table) findLocked(s Subject) *Entry {
	if s.Prefix.IsValid() {
		return t.prefixes[s.Prefix]
	}
	return t.users[s.User]
}

// load adds what was known before, however long ago it was over: the clock may be wrong.
func (t *Table) load(entries []*Entry) {
	t.add(entries, func(*Entry) bool { return true })
}

// merge adds those that are later than what is known of their subjects, and returns them,
// with what they replace; nil: nothing. What may be forgotten it does not add.
func (t *Table) merge(entries []*Entry) (taken, replaced []*Entry) {
	now := time.Now()
	return t.add(entries, func(e *Entry) bool { return !e.stale(now) })
}

// add is merge, where of subjects of which nothing is known those are added that are wanted.
func (t *Table) add(entries []*Entry, wanted func(*Entry) bool) (taken, replaced []*Entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var added []*Entry
	for _, e := range entries {
		old := t.findLocked(e.Subject)
		if old != nil && e.Stamp.Compare(old.Stamp) <= 0 || old == nil && !wanted(e) {
			continue
		}
		taken, replaced = append(taken, e), append(replaced, old)
		t.setLocked(e)
		if old == nil {
			added = append(added, e)
			if e.Prefix.IsValid() {
				t.lengths[family(e.Prefix.Addr())][e.Prefix.Bits()]++
			}
			continue
		}
		t.digest.add(old, -1)
		if i, found := slices.BinarySearchFunc(t.ordered, old, bySubject); found {
			t.ordered[i] = e
		} else { // of the same merge
			added[slices.Index(added, old)] = e
		}
	}
	slices.SortFunc(added, bySubject)
	t.ordered = mergeSorted(t.ordered, added)
	t.there.Store(len(t.ordered) > 0)
	return taken, replaced
}

// setLocked makes e what is known of its subject.
func (t *Table) setLocked(e *Entry) {
	t.latest = max(t.latest, e.Stamp.Time)
	t.digest.add(e, 1)
	if e.Prefix.IsValid() {
		if t.prefixes == nil {
			t.prefixes = map[netip.Prefix]*Entry{}
		}
		t.prefixes[e.Prefix] = e
		return
	}
	if t.users == nil {
		t.users = map[string]*Entry{}
	}
	t.users[e.User] = e
}

func bySubject(a, b *Entry) int { return a.Compare(b.Subject) }

// mergeSorted returns the entries of both lists, which are sorted and have no subject in
// common, in a sorted one, for which it may use a. It compares little where b is short, since
// everybody who asks waits meanwhile.
func mergeSorted(a, b []*Entry) []*Entry {
	end := len(a) // of what is not in its place yet
	a = append(a, b...)
	for j := len(b) - 1; j >= 0; j-- {
		at, _ := slices.BinarySearchFunc(a[:end], b[j], bySubject)
		copy(a[at+j+1:], a[at:end])
		a[at+j], end = b[j], at
	}
	return a
}

// MaxLifted is how many entries a table keeps whose blocks have ended; of more, the oldest
// go.
const MaxLifted = 100_000

// prune forgets what may be forgotten, and returns it; what was over for so long only if
// the clock is believed. Nothing is merged meanwhile.
func (t *Table) prune(believed bool) []*Entry {
	gone := t.forgettable(believed)
	if len(gone) == 0 {
		return nil
	}
	dropped := make(map[*Entry]bool, len(gone))
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range gone {
		dropped[e] = true
		t.digest.add(e, -1)
		if e.Prefix.IsValid() {
			delete(t.prefixes, e.Prefix)
			t.lengths[family(e.Prefix.Addr())][e.Prefix.Bits()]--
		} else {
			delete(t.users, e.User)
		}
	}
	t.ordered = slices.DeleteFunc(t.ordered, func(e *Entry) bool { return dropped[e] })
	t.there.Store(len(t.ordered) > 0)
	return gone
}

// forgettable returns what may be forgotten.
func (t *Table) forgettable(believed bool) (gone []*Entry) {
	now := time.Now()
	t.mu.RLock()
	defer t.mu.RUnlock()
	var lifted []*Entry
	for _, e := range t.ordered {
		switch {
		case believed && e.stale(now):
			gone = append(gone, e)
		case !e.InForce(now):
			lifted = append(lifted, e)
		}
	}
	if n := len(lifted) - MaxLifted; n > 0 {
		slices.SortFunc(lifted, func(a, b *Entry) int { return a.Stamp.Compare(b.Stamp) })
		gone = append(gone, lifted[:n]...)
	}
	return gone
}

// size returns how many entries there are.
func (t *Table) size() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.ordered)
}

// last returns the time of the latest stamp.
func (t *Table) last() int64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.latest
}

// Counts are how many subjects there are.
type Counts struct {
	Users, Addresses int // blocked now
	Lifted           int // that were, and are remembered
}

// Counts returns how many there are now. It costs a look at each.
func (t *Table) Counts() (c Counts) {
	now := time.Now()
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, e := range t.ordered {
		switch {
		case !e.InForce(now):
			c.Lifted++
		case e.Prefix.IsValid():
			c.Addresses++
		default:
			c.Users++
		}
	}
	return c
}

// Filter says which blocks are listed. The zero Filter: all.
type Filter struct {
	UserPrefix string       // of users whose names begin so
	Within     netip.Prefix // of addresses in it, or networks that it is in
}

func (f *Filter) wants(e *Entry) bool {
	switch {
	case f.Within.IsValid():
		return e.Prefix.IsValid() && e.Prefix.Overlaps(f.Within)
	case f.UserPrefix != "":
		return !e.Prefix.IsValid() && strings.HasPrefix(e.User, f.UserPrefix)
	}
	return true
}

// Page returns up to limit blocks that are in force, in the order of [Subject.Compare],
// from behind a subject on, nil for all; next is the after of the next page, nil if there
// is none.
func (t *Table) Page(f Filter, after *Subject, limit int) (page []Entry, next *Subject) {
	now := time.Now()
	if after == nil && f.UserPrefix != "" {
		after = &Subject{} // behind all addresses
	}
	return t.page(after, limit, func(e *Entry) bool { return e.InForce(now) && f.wants(e) })
}

// page returns up to limit entries that are wanted.
func (t *Table) page(after *Subject, limit int, wanted func(*Entry) bool) (page []Entry, next *Subject) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	from := 0
	if after != nil {
		var found bool
		from, found = slices.BinarySearchFunc(t.ordered, *after, func(e *Entry, s Subject) int { return e.Compare(s) })
		if found {
			from++
		}
	}
	for _, e := range t.ordered[from:] {
		if !wanted(e) {
			continue
		}
		if len(page) == limit {
			return page, &page[limit-1].Subject
		}
		page = append(page, *e)
	}
	return page, nil
}
