package control

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash"

	"github.com/fanoutd/fanoutd/internal/sio"
)

const (
	defaultPage = 100
	maxPage     = 1000

	// maxPageBytes ends a page early, so that connections with much data do
	// not overrun the 4 MiB that gRPC clients take by default.
	maxPageBytes = 2 << 20
)

// tokenBinding is how many bytes of a page token say what it belongs to.
const tokenBinding = 8

// listing makes and reads the page tokens of one query. A token is a
// cursor of the Hub behind a hash of the query: one from another query would
// skip entries without a word, so it is refused. It hides nothing.
type listing struct {
	bound [tokenBinding]byte
}

// newListing is the listing of what kind and query describe. kind sets the
// RPCs apart.
func newListing(kind string, query ...string) listing {
	h := sha256.New()
	hashStrings(h, kind)
	hashStrings(h, query...)
	var l listing
	copy(l.bound[:], h.Sum(nil))
	return l
}

// newTargetListing is the listing of the connections of to.
func newTargetListing(to sio.Target) listing {
	h := sha256.New()
	hashStrings(h, "connections")
	hashTarget(h, to)
	var l listing
	copy(l.bound[:], h.Sum(nil))
	return l
}

// token continues behind the Hub's cursor; an empty one is no token.
func (l listing) token(cursor string) string {
	if cursor == "" {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(append(l.bound[:], cursor...))
}

// toCursor reads the field `page_token`, of which an empty one is the first page.
func (l listing) toCursor(p *problems, token string) string {
	if token == "" {
		return ""
	}
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(b) <= tokenBinding || [tokenBinding]byte(b) != l.bound {
		badToken(p)
		return ""
	}
	return string(b[tokenBinding:])
}

func badToken(p *problems) {
	p.add("page_token", "not the next_page_token of an answer to this same query; start again without one")
}

// toPageSize converts the field `page_size`.
func toPageSize(p *problems, n int32) int {
	switch {
	case n < 0:
		p.add("page_size", "must not be negative")
	case n > maxPage:
		p.add("page_size", "%d, but at most %d are allowed", n, maxPage)
	case n == 0:
		return defaultPage
	}
	return int(n)
}

// hashStrings adds each string with its length, so that no two different lists
// look the same.
func hashStrings(h hash.Hash, list ...string) {
	for _, s := range list {
		hashLen(h, len(s))
		h.Write([]byte(s))
	}
}

func hashLen(h hash.Hash, n int) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(n))
	h.Write(b[:])
}

func hashTarget(h hash.Hash, to sio.Target) {
	hashStrings(h, to.Namespace)
	for _, list := range [][]string{to.Rooms, to.Except, to.IDs, to.Users} {
		hashLen(h, len(list))
		hashStrings(h, list...)
	}
	hashBool(h, to.All)
	hashStrings(h, to.Owner.Group, to.Owner.ConsumerID)
}

func hashBool(h hash.Hash, b bool) {
	if b {
		hashLen(h, 1)
	} else {
		hashLen(h, 0)
	}
}
