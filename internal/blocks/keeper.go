package blocks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Max is how many blocks there may be at once.
const Max = 100_000

// ErrTooMany says that there would be more than [Max] blocks.
var ErrTooMany = fmt.Errorf("there may be %d blocks at once", Max)

// ErrLater says that something later is known, by which what another node tells is not so.
var ErrLater = errors.New("something later is known of a user or network")

// Store keeps records beyond the end of the process. Its calls come one at a time.
type Store interface {
	// Load calls f with all that is there, until f fails.
	Load(f func(key string, value []byte) error) error
	// Update writes and removes records, all or none: they are safe when it returns.
	Update(put map[string][]byte, remove []string) error
}

// Ender ends the connections of those who are blocked.
type Ender interface {
	// EndBlocked ends all sessions of clients with these addresses, and all that have a
	// connection of these users, and returns how many connections that were. why is for
	// backends.
	EndBlocked(users []string, prefixes []netip.Prefix, why string) (connections int)
}

// StoreError says that a change could not be kept: it was not made.
type StoreError struct{ Err error }

func (e *StoreError) Error() string { return "the change cannot be kept: " + e.Err.Error() }

// Unwrap returns what the store said.
func (e *StoreError) Unwrap() error { return e.Err }

// Keeper is a table that is kept and put in force. It is safe for concurrent use.
type Keeper struct {
	Table

	node  string
	store Store // nil: nothing is kept
	log   *slog.Logger
	ender Ender // set before anything changes

	writing sync.Mutex // a change, from its stamp until it is in the table
	unsaved map[string]*Entry
	began   time.Time
	clock   settling
}

// NewKeeper returns a Keeper with what is in the store; nil: it keeps nothing. node is
// the name of this one. Its error is the store's, or what is wrong with a record.
func NewKeeper(node string, store Store, log *slog.Logger) (*Keeper, error) {
	k := &Keeper{node: node, store: store, log: log, unsaved: map[string]*Entry{}, began: time.Now()}
	k.clock.look(k.began, 0)
	if store == nil {
		return k, nil
	}
	var all []*Entry
	err := store.Load(func(key string, value []byte) error {
		e, err := decode(key, value)
		if err != nil {
			return fmt.Errorf("a block cannot be read: %w", err)
		}
		all = append(all, e)
		return nil
	})
	if err != nil {
		return nil, err
	}
	k.load(all)
	return k, nil
}

// Enforce has those ended by e who are blocked from then on. It is called once, before
// anything changes.
func (k *Keeper) Enforce(e Ender) { k.ender = e }

// Change is what is done to some subjects.
type Change struct {
	Subjects []Subject
	Until    time.Time // of a Block; zero: until Unblock
	Reason   string    // of a Block
	Caller   string
}

// Block blocks the subjects, each anew if it was blocked already, and returns what
// other nodes are to be told and how many connections it ended here. Errors: [ErrTooMany]
// and [*StoreError], with which nothing was done.
func (k *Keeper) Block(c Change) (entries []Entry, ended int, err error) {
	all, _, err := k.write(c, true)
	if err != nil {
		return nil, 0, err
	}
	return values(all), k.end(all), nil
}

// Unblock lifts the blocks of the subjects, and returns what other nodes are to be told
// and how many were in force. A [*StoreError] says that nothing was done.
func (k *Keeper) Unblock(c Change) (entries []Entry, lifted int, err error) {
	all, lifted, err := k.write(c, false)
	if err != nil {
		return nil, 0, err
	}
	return values(all), lifted, nil
}

// write stamps, keeps and makes a change, and returns how many blocks it lifted.
func (k *Keeper) write(c Change, blocked bool) (all []*Entry, lifted int, err error) {
	k.writing.Lock()
	defer k.writing.Unlock()
	if blocked && k.tooMany(c.Subjects) {
		return nil, 0, ErrTooMany
	}
	stamp := Stamp{Time: max(time.Now().UnixNano(), k.last()+1), Node: k.node}
	all = make([]*Entry, len(c.Subjects))
	for i, s := range c.Subjects {
		all[i] = &Entry{Subject: s, Stamp: stamp, Blocked: blocked, Caller: c.Caller}
		if blocked {
			all[i].Until, all[i].Reason = c.Until.Round(0), c.Reason
		}
	}
	if err := k.save(all, nil); err != nil {
		return nil, 0, &StoreError{err}
	}
	lifted = countLifted(k.merge(all))
	k.makeRoom()
	return all, lifted, nil
}

// countLifted returns how many blocks were in force that these entries have replaced.
func countLifted(taken, replaced []*Entry) (lifted int) {
	now := time.Now()
	for i, e := range taken {
		if old := replaced[i]; old != nil && old.InForce(now) && !e.InForce(now) {
			lifted++
		}
	}
	return lifted
}

// tooMany reports whether there is no room for blocks of all subjects.
func (k *Keeper) tooMany(subjects []Subject) bool {
	now := time.Now()
	added := 0
	for _, s := range subjects {
		if e := k.find(s); e == nil || !e.InForce(now) {
			added++
		}
	}
	c := k.Counts()
	return added > 0 && c.Users+c.Addresses+added > Max
}

// save keeps entries, and what could not be kept before, and forgets others.
func (k *Keeper) save(entries, gone []*Entry) error {
	if k.store == nil {
		return nil
	}
	put := make(map[string][]byte, len(entries)+len(k.unsaved))
	for _, e := range k.unsaved {
		if err := add(put, e); err != nil {
			return err
		}
	}
	for _, e := range entries {
		if err := add(put, e); err != nil {
			return err
		}
	}
	var remove []string
	for _, e := range gone {
		delete(put, e.Key())
		remove = append(remove, e.Key())
	}
	if len(put)+len(remove) == 0 {
		return nil
	}
	if err := k.store.Update(put, remove); err != nil {
		return err
	}
	clear(k.unsaved)
	return nil
}

func add(put map[string][]byte, e *Entry) error {
	text, err := e.encode()
	if err != nil {
		return err
	}
	put[e.Key()] = text
	return nil
}

// Take merges what another node knows, and returns how many connections were ended here,
// and how many blocks that were in force here were lifted. What is the latest of its subject
// is in force in any case: a [*StoreError] says that it could not be kept, which is tried
// again. [ErrLater] says that some of it is not the latest, and not so.
func (k *Keeper) Take(entries []Entry) (ended, lifted int, err error) {
	all := make([]*Entry, len(entries))
	for i := range entries {
		all[i] = &entries[i]
	}
	taken, lifted, err := k.take(all)
	if err != nil {
		k.log.Error("blocks of other nodes are in force, but cannot be kept in data-dir: after a restart they have to come from others again", "error", err)
		err = &StoreError{err}
	}
	ended = k.end(taken)
	if err == nil && k.knowsLater(all) {
		err = ErrLater
	}
	return ended, lifted, err
}

func (k *Keeper) take(all []*Entry) (taken []*Entry, lifted int, err error) {
	k.writing.Lock()
	defer k.writing.Unlock()
	taken, replaced := k.merge(all)
	lifted = countLifted(taken, replaced)
	if err = k.save(taken, nil); err != nil {
		for _, e := range taken {
			k.unsaved[e.Key()] = e
		}
	}
	k.makeRoom()
	return taken, lifted, err
}

// knowsLater reports whether what is in force is not what these entries say.
func (k *Keeper) knowsLater(all []*Entry) bool {
	now := time.Now()
	return slices.ContainsFunc(all, func(e *Entry) bool {
		known := k.find(e.Subject)
		return known != nil && known.Stamp.Compare(e.Stamp) > 0 && known.InForce(now) != e.InForce(now)
	})
}

// end ends the connections of those who are blocked by these entries.
func (k *Keeper) end(entries []*Entry) int {
	now := time.Now()
	type group struct {
		users    []string
		prefixes []netip.Prefix
	}
	byReason := map[string]*group{}
	for _, e := range entries {
		if !e.InForce(now) {
			continue
		}
		g := byReason[e.Reason]
		if g == nil {
			g = &group{}
			byReason[e.Reason] = g
		}
		if e.Prefix.IsValid() {
			g.prefixes = append(g.prefixes, e.Prefix)
		} else {
			g.users = append(g.users, e.User)
		}
	}
	ended := 0
	for reason, g := range byReason {
		why := "blocked"
		if reason != "" {
			why += ": " + reason
		}
		ended += k.ender.EndBlocked(g.users, g.prefixes, why)
	}
	return ended
}

// pruneEvery is how often a Keeper looks for what may be forgotten, and tries again to
// keep what could not be kept.
const pruneEvery = time.Minute

// Run forgets what may be forgotten, from time to time, until ctx ends.
func (k *Keeper) Run(ctx context.Context) {
	tick := time.NewTicker(pruneEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			k.tidy()
		case <-ctx.Done():
			return
		}
	}
}

func (k *Keeper) tidy() {
	k.writing.Lock()
	defer k.writing.Unlock()
	k.forget()
}

// makeRoom forgets what may be forgotten, if there is much of it: changes may come faster
// than Run looks.
func (k *Keeper) makeRoom() {
	if k.size() > Max+MaxLifted+MaxLifted/10 {
		k.forget()
	}
}

// forget is tidy under writing. What the store does not forget then, it does after the next
// start.
func (k *Keeper) forget() {
	now := time.Now()
	gone := k.prune(k.clock.look(now, now.Sub(k.began)))
	for _, e := range gone {
		delete(k.unsaved, e.Key())
	}
	if err := k.save(nil, gone); err != nil {
		k.log.Error("data-dir cannot be written", "error", err)
	}
}

func values(all []*Entry) []Entry {
	list := make([]Entry, len(all))
	for i, e := range all {
		list[i] = *e
	}
	return list
}
