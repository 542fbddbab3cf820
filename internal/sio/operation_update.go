package sio

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"

	"github.com/fanoutd/fanoutd/internal/sio/engineio"
	"github.com/fanoutd/fanoutd/internal/sio/room"
)

// MaxData bounds the data of one connection, in bytes as JSON.
const MaxData = 64 << 10

// update changes the connections that are selected, all of them or none, and returns how
// many they are.
//
// It merges without the lock, since it measures what it has merged, and anew what somebody
// else was faster with, or who has come since.
func (n *Namespace) update(sel room.Selector, c Changes) (matched int, err error) {
	all := map[*Socket]merged{}
	left, done := n.change(sel, &c, all)
	for len(left) > 0 {
		if err := c.merge(left, all); err != nil {
			return 0, err
		}
		left, done = n.change(sel, &c, all)
	}
	if c.User != nil {
		n.server.retention.evict()
		if n.server.blockedUser(*c.User) {
			n.endBlocked(done.renamed)
		}
	}
	return done.matched, nil
}

// endBlocked ends connections that have come to be a blocked user's: who blocks it may have
// looked for them before. They end as connections that are to be admitted as that user are
// refused: in this namespace alone, so that nobody reaches beyond it by a name.
func (n *Namespace) endBlocked(ids []string) {
	selected, _ := n.disconnect(Disconnect{
		To: Target{Namespace: n.name, Selector: room.Selector{IDs: ids}}, Mode: DisconnectNamespace, Reason: whyBlocked,
	})
	for _, s := range selected {
		if len(s.conn.presence.list()) == 0 { // it is nowhere else
			s.conn.session.CloseWith(engineio.ReasonForcedServer, whyBlocked)
		}
	}
}

// merged is what the data of a socket were and are to be. Data are replaced, never changed.
type merged struct{ before, after map[string]any }

// merge sets what the data of these are to be.
func (c *Changes) merge(sockets []*Socket, all map[*Socket]merged) error {
	var last merged
	for i, s := range sockets {
		m := all[s]
		if i > 0 && sameMap(m.before, last.before) { // as all have that have none
			m.after = last.after
		} else {
			before := m.before
			if c.Replace {
				before = nil
			}
			var err error
			if m.after, err = mergeData(before, c.Data, m.before); err != nil {
				return err
			}
		}
		all[s], last = m, m
	}
	return nil
}

func sameMap(a, b map[string]any) bool {
	return reflect.ValueOf(a).Pointer() == reflect.ValueOf(b).Pointer()
}

// changed is what an update did.
type changed struct {
	matched int
	renamed []string // ids of those that have another user
}

// change changes those that are selected; or it returns those whose data are to be merged
// first.
func (n *Namespace) change(sel room.Selector, c *Changes, all map[*Socket]merged) (left []*Socket, done changed) {
	n.mu.Lock()
	defer n.mu.Unlock()
	sockets := n.selectLocked(sel)
	merges := len(c.Data) > 0 || c.Replace
	for _, s := range sockets {
		if m, ok := all[s]; merges && (!ok || !sameMap(m.before, s.data)) {
			all[s] = merged{before: s.data}
			left = append(left, s)
		}
	}
	if len(left) > 0 {
		return left, done
	}
	for _, s := range sockets {
		if s.changeLocked(c, all[s].after, merges) {
			done.renamed = append(done.renamed, s.id)
		}
	}
	if c.User != nil {
		n.discardOfflineLocked(sel)
	}
	done.matched = len(sockets)
	return nil, done
}

// changeLocked changes s, which has these data then if merges, and tells of it. It reports
// whether s has another user.
func (s *Socket) changeLocked(c *Changes, data map[string]any, merges bool) (renamed bool) {
	told := Change{Kind: ConnectionUpdated, Socket: s, By: c.By}
	changed := false
	if merges {
		changed = !sameMap(s.data, data)
		s.data = data
	}
	if !c.Expire.IsZero() || c.Lasting && s.expiry != nil {
		s.expireLocked(c.Expire)
		changed = true
	}
	if c.User != nil && s.nsp.members.SetUser(s.entry, *c.User) {
		told.User = s.user.Swap(c.User)
		s.noteRoomsChangedLocked()
		changed, renamed = true, true
	}
	if changed {
		s.nsp.changedLocked(told)
	}
	return renamed
}

// mergeData returns data with what changes, key by key; nil removes a key. Data beyond
// [MaxData] is [ErrTooMuchData], unless it is no more than what the connection had before: it
// may have been admitted with as much.
func mergeData(data, changes, had map[string]any) (map[string]any, error) {
	if len(changes) == 0 {
		return data, nil
	}
	merged := maps.Clone(data)
	if merged == nil {
		merged = make(map[string]any, len(changes))
	}
	for k, v := range changes {
		if v == nil {
			delete(merged, k)
		} else {
			merged[k] = v
		}
	}
	size, err := sizeOfData(merged)
	if err != nil || size <= MaxData {
		return merged, err
	}
	if before, err := sizeOfData(had); err != nil || size > before {
		return nil, ErrTooMuchData
	}
	return merged, nil
}

// sizeOfData returns the bytes of data as JSON, as backends are shown it. The error is
// for values that JSON has not; callers take none.
func sizeOfData(data map[string]any) (int, error) {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	err := e.Encode(data)
	return text.Len() - len("\n"), err
}
