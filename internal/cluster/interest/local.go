package interest

import (
	"math/bits"
	"sync"
)

// Local is what this node has members of. It is safe for concurrent use; its methods
// touch memory only, and those but TakeChanges and Full allocate nothing as a rule.
type Local struct {
	mu      sync.Mutex
	counts  [Bits]uint32 // names that set a bit
	set     [words]uint64
	told    [words]uint64 // as TakeChanges has told it
	changed []uint32      // bits that may differ between the two; some twice
	many    bool          // too many to list: any may
}

// NewLocal returns a Local that has no members of anything.
func NewLocal() *Local { return &Local{} }

// Add notes that a name has got its first member. The same name may be added several
// times, and is there until it was removed as often.
func (l *Local) Add(kind Kind, namespace, name string) {
	bit := bitOf(kind, namespace, name)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.counts[bit]++; l.counts[bit] == 1 {
		l.set[bit/64] |= 1 << (bit % 64)
		l.changedLocked(bit)
	}
}

// Remove notes that a name has lost its last member.
func (l *Local) Remove(kind Kind, namespace, name string) {
	bit := bitOf(kind, namespace, name)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.counts[bit]--; l.counts[bit] == 0 {
		l.set[bit/64] &^= 1 << (bit % 64)
		l.changedLocked(bit)
	}
}

// changedLocked notes that a bit has changed: nobody may be there to take changes.
func (l *Local) changedLocked(bit uint32) {
	switch {
	case l.many:
	case len(l.changed) < maxChanges:
		l.changed = append(l.changed, bit)
	default:
		l.many, l.changed = true, nil
	}
}

// TakeChanges returns the bits that have been set, and those that have been cleared,
// since it was called last. A bit that has changed and changed back is in neither.
func (l *Local) TakeChanges() (set, cleared []uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.many {
		l.many = false
		for i := range l.set {
			for w := l.set[i] ^ l.told[i]; w != 0; w &= w - 1 {
				l.changed = append(l.changed, uint32(i*64+bits.TrailingZeros64(w))) //nolint:gosec // below Bits
			}
		}
	}
	for _, bit := range l.changed {
		word, mask := bit/64, uint64(1)<<(bit%64)
		switch now := l.set[word] & mask; {
		case now == l.told[word]&mask:
			continue
		case now != 0:
			set = append(set, bit)
		default:
			cleared = append(cleared, bit)
		}
		l.told[word] ^= mask
	}
	l.changed = l.changed[:0]
	if cap(l.changed) > keepChanges {
		l.changed = nil
	}
	return set, cleared
}

const (
	keepChanges = 4096   // bits: for so many changes to come memory is kept
	maxChanges  = 32_768 // bits: beyond it the whole set is compared
)

// Full returns the whole set as TakeChanges has told it, for [Set.Apply]: what has changed
// since then is in the changes to come. With the set of this moment, a bit that changes
// back before the next call of TakeChanges would stay wrong for whoever got it.
func (l *Local) Full() []byte {
	l.mu.Lock()
	told := l.told
	l.mu.Unlock()
	return encode(&told)
}
