package control

import (
	"context"
	"crypto/sha256"

	"github.com/fanoutd/fanoutd/internal/idempotency"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// Keys sees to it that emits with one key are applied once: [idempotency.Table] does, and
// says what Once does. It is safe for concurrent use.
type Keys interface {
	Once(ctx context.Context, key idempotency.Key, print idempotency.Fingerprint, apply func() (sio.Result, error)) (result sio.Result, duplicate bool, err error)
}

var _ Keys = (*idempotency.Table)(nil)

// fingerprintOf covers all that an emit does.
func fingerprintOf(op sio.Emit) (f idempotency.Fingerprint) {
	h := sha256.New()
	hashTarget(h, op.To)
	hashStrings(h, op.Event)
	hashLen(h, len(op.Args))
	h.Write(op.Args)
	hashLen(h, len(op.Attachments))
	for _, a := range op.Attachments {
		hashLen(h, len(a))
		h.Write(a)
	}
	hashBool(h, op.Volatile)
	hashBool(h, op.Compress)
	h.Sum(f[:0])
	return f
}
