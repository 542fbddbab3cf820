package interest

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// Set is what another node has members of, as far as it is known. It is safe for
// concurrent use; Has takes no lock.
type Set struct {
	unknown atomic.Bool
	words   [words]atomic.Uint64

	mu sync.Mutex // one change at a time
}

// NewSet returns a Set of which nothing is known: everything matches.
func NewSet() *Set {
	s := &Set{}
	s.unknown.Store(true)
	return s
}

// Has reports whether the node may have members of a name. It says no only where that
// is certain.
func (s *Set) Has(kind Kind, namespace, name string) bool {
	if s.unknown.Load() {
		return true
	}
	bit := bitOf(kind, namespace, name)
	return s.words[bit/64].Load()&(1<<(bit%64)) != 0
}

// All says that nothing is known any more: everything matches, until Apply.
func (s *Set) All() { s.unknown.Store(true) }

// Apply replaces what is known by what [Local.Full] returned. An error changes nothing.
func (s *Set) Apply(full []byte) error {
	set, err := decode(full)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, w := range set {
		s.words[i].Store(w)
	}
	s.unknown.Store(false)
	return nil
}

// Change changes what is known by what [Local.TakeChanges] returned. While nothing is
// known it does nothing. A bit that no set has is an error, and changes nothing.
func (s *Set) Change(set, cleared []uint32) error {
	for _, list := range [][]uint32{set, cleared} {
		for _, bit := range list {
			if bit >= Bits {
				return fmt.Errorf("%w: bit %d", errEncoding, bit)
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, bit := range set {
		s.words[bit/64].Or(1 << (bit % 64))
	}
	for _, bit := range cleared {
		s.words[bit/64].And(^uint64(1 << (bit % 64)))
	}
	return nil
}
