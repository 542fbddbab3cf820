package blocks

import (
	"encoding/json"
	"time"
)

// Remembered is for how long it is known of a subject that it is blocked no more: a node
// that was away for longer may know of a block that the others have forgotten to have
// lifted.
const Remembered = 90 * 24 * time.Hour

// Entry is the latest that is known of a subject. It is immutable once it is in a table.
type Entry struct {
	Subject
	Stamp   Stamp
	Blocked bool      // false: it was lifted
	Until   time.Time // when the block ends by itself; zero: never
	Reason  string    // for operators
	Caller  string    // who did it, by the name of its key
}

// InForce reports whether the subject is blocked at this time, by the wall clock.
func (e *Entry) InForce(now time.Time) bool {
	return e.Blocked && (e.Until.IsZero() || now.Round(0).Before(e.Until))
}

// At is when it was done, by the clock of who did it.
func (e *Entry) At() time.Time { return time.Unix(0, e.Stamp.Time) }

// stale reports whether the entry says no more than that something was over for so long
// that it may be forgotten.
func (e *Entry) stale(now time.Time) bool {
	if e.InForce(now) {
		return false
	}
	ended := e.At()
	if e.Blocked && e.Until.After(ended) {
		ended = e.Until
	}
	return now.Round(0).Sub(ended) > Remembered
}

// record is an entry as a Store keeps it, under the key of its subject. Members are
// added and never take another meaning: see package datadir about formats.
type record struct {
	Time    int64     `json:"time"`
	Node    string    `json:"node,omitempty"`
	Blocked bool      `json:"blocked"`
	Until   time.Time `json:"until,omitzero"`
	Reason  string    `json:"reason,omitempty"`
	Caller  string    `json:"caller,omitempty"`
}

func (e *Entry) encode() ([]byte, error) {
	return json.Marshal(record{e.Stamp.Time, e.Stamp.Node, e.Blocked, e.Until, e.Reason, e.Caller})
}

func decode(key string, value []byte) (*Entry, error) {
	s, err := SubjectOf(key)
	if err != nil {
		return nil, err
	}
	var r record
	if err := json.Unmarshal(value, &r); err != nil {
		return nil, err
	}
	return &Entry{Subject: s, Stamp: Stamp{r.Time, r.Node}, Blocked: r.Blocked, Until: r.Until, Reason: r.Reason, Caller: r.Caller}, nil
}
