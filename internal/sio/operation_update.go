package sio

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"

	"github.com/fanoutd/fanoutd/internal/sio/room"
)

// MaxData bounds the data of one connection, in bytes as JSON.
const MaxData = 64 << 10

// update changes the connections that are selected, and returns how many.
//
// It merges without the lock, since it measures what it has merged, and anew what somebody
// else was faster with.
func (n *Namespace) update(sel room.Selector, c Changes) (matched int, err error) {
	for left := n.dataOf(sel); len(left) > 0; {
		if err := c.merge(left); err != nil {
			return matched, err
		}
		var changed int
		left, changed = n.replaceData(left, c)
		matched += changed
	}
	return matched, nil
}

// changing is a socket whose data is about to be replaced.
type changing struct {
	socket        *Socket
	before, after map[string]any // replaced, never changed
}

// dataOf returns the members that are selected, with their data.
func (n *Namespace) dataOf(sel room.Selector) []changing {
	n.mu.Lock()
	defer n.mu.Unlock()
	sockets := n.selectLocked(sel)
	all := make([]changing, len(sockets))
	for i, s := range sockets {
		all[i] = changing{socket: s, before: s.data}
	}
	return all
}

// merge sets what the data of all is to be.
func (c *Changes) merge(all []changing) error {
	var base map[string]any
	for i := range all {
		a := &all[i]
		if i > 0 && sameMap(a.before, base) { // as all have that have none
			a.after = all[i-1].after
			continue
		}
		before := a.before
		if c.Replace {
			before = nil
		}
		var err error
		if a.after, err = mergeData(before, c.Data, a.before); err != nil {
			return err
		}
		base = a.before
	}
	return nil
}

func sameMap(a, b map[string]any) bool {
	return reflect.ValueOf(a).Pointer() == reflect.ValueOf(b).Pointer()
}

// replaceData is the rest of an update. It returns those that have other data by now, as it
// is, and how many it has changed; those that are gone are neither.
func (n *Namespace) replaceData(all []changing, c Changes) (left []changing, changed int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, a := range all {
		s := a.socket
		switch {
		case s.gone.Load():
			continue
		case !sameMap(s.data, a.before):
			left = append(left, changing{socket: s, before: s.data})
			continue
		}
		changed++
		s.data = a.after
		if !c.Expire.IsZero() || c.Lasting {
			s.expireLocked(c.Expire)
		}
	}
	return left, changed
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
