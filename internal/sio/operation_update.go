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
// [MaxData] is [ErrTooMuchData], unless it is no more than before: a connection may have
// been admitted with as much.
func mergeData(data, changes map[string]any) (map[string]any, error) {
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
	if before, err := sizeOfData(data); err != nil || size > before {
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
