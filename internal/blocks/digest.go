package blocks

import (
	"strconv"

	"github.com/cespare/xxhash/v2"
)

// Digest tells what a table knows, so that two can find out where they differ: a sum for
// each of as many parts of the subjects.
type Digest [parts]uint64

// parts is so large that of some ten thousand entries a hundred are sent because of one
// that differs, and so small that a digest is no burden.
const parts = 256

// add adds an entry, or takes it away.
func (d *Digest) add(e *Entry, sign int) {
	text := append([]byte(e.Key()), 0)
	text = append(strconv.AppendInt(text, e.Stamp.Time, 10), 0)
	sum := xxhash.Sum64(append(text, e.Stamp.Node...))
	if sign < 0 {
		sum = -sum
	}
	d[partOf(e.Key())] += sum
}

func partOf(key string) int { return int(xxhash.Sum64String(key) % parts) }

// Sparse returns the sums that are not 0, by part.
func (d *Digest) Sparse() map[uint32]uint64 {
	all := map[uint32]uint64{}
	for part, sum := range d {
		if sum != 0 {
			all[uint32(part)] = sum
		}
	}
	return all
}

// DigestOf is the inverse of Sparse. Parts that there are not are ignored.
func DigestOf(sparse map[uint32]uint64) (d Digest) {
	for part, sum := range sparse {
		if part < parts {
			d[part] = sum
		}
	}
	return d
}

// Digest returns what the table knows.
func (t *Table) Digest() Digest {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.digest
}

// Difference returns up to limit entries of the parts in which the table knows something
// else than the digest says, in the order of [Subject.Compare], from behind a subject on,
// nil for all; next is the after of the next page, nil if there is none.
func (t *Table) Difference(d *Digest, after *Subject, limit int) (page []Entry, next *Subject) {
	mine := t.Digest()
	if *d == mine {
		return nil, nil
	}
	return t.page(after, limit, func(e *Entry) bool {
		part := partOf(e.Key())
		return d[part] != mine[part]
	})
}
