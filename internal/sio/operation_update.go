package sio

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
)

// MaxData bounds the data of one connection, in bytes as JSON.
const MaxData = 64 << 10

// update merges without the lock, since it measures what it has merged, and anew if
// somebody else was faster.
func (n *Namespace) update(o Update) (Result, error) {
	for {
		before, err := n.dataOf(o.ID)
		if err != nil {
			return Result{}, err
		}
		after, err := mergeData(before, o.Data)
		if err != nil {
			return Result{}, err
		}
		if done, err := n.replaceData(o, before, after); done || err != nil {
			return Result{Matched: 1}, err
		}
	}
}

// dataOf returns the data of a member. It is replaced and never changed.
func (n *Namespace) dataOf(id string) (map[string]any, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	e := n.members.Lookup(id)
	if e == nil {
		return nil, ErrNotFound
	}
	return e.Value.data, nil
}

// replaceData is the rest of an update. It is false if the data is not what it was before
// any more.
func (n *Namespace) replaceData(o Update, before, after map[string]any) (done bool, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	e := n.members.Lookup(o.ID)
	if e == nil {
		return false, ErrNotFound
	}
	s := e.Value
	if reflect.ValueOf(s.data).Pointer() != reflect.ValueOf(before).Pointer() {
		return false, nil
	}
	s.data = after
	if !o.Expire.IsZero() {
		s.expireLocked(o.Expire)
	}
	return true, nil
}

// mergeData returns data with what changes, key by key; nil removes a key. Data beyond
// [MaxData] is [ErrTooMuchData], unless keys are only removed.
func mergeData(data, changes map[string]any) (map[string]any, error) {
	if len(changes) == 0 {
		return data, nil
	}
	data = maps.Clone(data)
	if data == nil {
		data = make(map[string]any, len(changes))
	}
	adds := false
	for k, v := range changes {
		if v == nil {
			delete(data, k)
		} else {
			data[k], adds = v, true
		}
	}
	if !adds {
		return data, nil
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false) // as backends are shown it
	if err := e.Encode(data); err != nil {
		return nil, err // its callers take JSON only
	}
	if text.Len()-len("\n") > MaxData {
		return nil, ErrTooMuchData
	}
	return data, nil
}
