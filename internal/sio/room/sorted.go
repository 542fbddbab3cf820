package room

import (
	"cmp"
	"slices"
)

// sorted is a set in the order of its items' keys, which are unique. It is a list
// of chunks: 8 bytes for each item that is a pointer and little more, where most
// items come in order, as connections do. Inserting and removing touch one chunk.
type sorted[K cmp.Ordered, T any] struct {
	key    func(T) K
	chunks [][]T // none is empty
}

// chunkLen is the most items of a chunk: moving half of them costs about as much
// as finding the place.
const chunkLen = 256

// find returns the chunk that holds the first item whose key is k or above, and
// where in it; the chunk is len(s.chunks) if there is none.
func (s *sorted[K, T]) find(k K) (chunk, at int) {
	chunk, _ = slices.BinarySearchFunc(s.chunks, k, func(c []T, k K) int { return cmp.Compare(s.key(c[len(c)-1]), k) })
	if chunk == len(s.chunks) {
		return chunk, 0
	}
	at, _ = slices.BinarySearchFunc(s.chunks[chunk], k, func(t T, k K) int { return cmp.Compare(s.key(t), k) })
	return chunk, at
}

// insert adds t, whose key is not there yet.
func (s *sorted[K, T]) insert(t T) {
	c, at := s.find(s.key(t))
	if c == len(s.chunks) { // behind all others: chunks that are filled so stay full
		if c == 0 || len(s.chunks[c-1]) == chunkLen {
			s.chunks = append(s.chunks, []T{t})
		} else {
			s.chunks[c-1] = append(s.chunks[c-1], t)
		}
		return
	}
	if len(s.chunks[c]) == chunkLen {
		half := slices.Clone(s.chunks[c][chunkLen/2:])
		clear(s.chunks[c][chunkLen/2:])
		s.chunks[c] = s.chunks[c][:chunkLen/2]
		s.chunks = slices.Insert(s.chunks, c+1, half)
		if at > chunkLen/2 {
			c, at = c+1, at-chunkLen/2
		}
	}
	s.chunks[c] = slices.Insert(s.chunks[c], at, t)
}

// remove takes out the item with key k, which is there.
func (s *sorted[K, T]) remove(k K) {
	c, at := s.find(k)
	chunk := slices.Delete(s.chunks[c], at, at+1)
	s.chunks[c] = chunk
	if len(chunk) > chunkLen/4 {
		return
	}
	// Little is left of it: its neighbour takes that in, or it goes.
	switch {
	case len(chunk) == 0:
		s.chunks = slices.Delete(s.chunks, c, c+1)
	case c+1 < len(s.chunks) && len(s.chunks[c+1]) <= chunkLen/2:
		s.chunks[c] = append(chunk, s.chunks[c+1]...)
		s.chunks = slices.Delete(s.chunks, c+1, c+2)
	case c > 0 && len(s.chunks[c-1]) <= chunkLen/2:
		s.chunks[c-1] = append(s.chunks[c-1], chunk...)
		s.chunks = slices.Delete(s.chunks, c, c+1)
	}
}

// from calls yield with the items whose keys are k or above, in order, until it
// returns false.
func (s *sorted[K, T]) from(k K, yield func(T) bool) {
	c, at := s.find(k)
	for ; c < len(s.chunks); c, at = c+1, 0 {
		for _, t := range s.chunks[c][at:] {
			if !yield(t) {
				return
			}
		}
	}
}
