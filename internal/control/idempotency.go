package control

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"hash"
	"time"

	"github.com/fanoutd/fanoutd/internal/idempotency"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// Keys sees to it that requests with one key are carried out once: [idempotency.Table] does, and
// says what Once does. It is safe for concurrent use.
type Keys interface {
	Once(ctx context.Context, key idempotency.Key, print idempotency.Fingerprint, apply func() (sio.Result, error)) (result sio.Result, duplicate bool, err error)
}

var _ Keys = (*idempotency.Table)(nil)

// fingerprintOf covers all that an operation does.
func fingerprintOf(op sio.Op) (f idempotency.Fingerprint) {
	h := sha256.New()
	hashStrings(h, fmt.Sprintf("%T", op))
	hashTarget(h, sio.TargetOf(op))
	switch op := op.(type) {
	case sio.Emit:
		hashStrings(h, op.Event)
		hashBytes(h, op.Args)
		hashLen(h, len(op.Attachments))
		for _, a := range op.Attachments {
			hashBytes(h, a)
		}
		hashBool(h, op.Volatile)
		hashBool(h, op.Compress)
		if op.ConflateKey != "" { // else as nodes that do not know of it have it
			hashStrings(h, op.ConflateKey)
		}
	case sio.Join:
		hashStrings(h, op.Rooms...)
	case sio.Leave:
		hashStrings(h, op.Rooms...)
	case sio.Disconnect:
		hashLen(h, int(op.Mode))
		hashStrings(h, op.Reason)
	case sio.Update:
		hashChanges(h, &op.Changes)
	case sio.UpdateAll:
		hashChanges(h, &op.Changes)
	}
	h.Sum(f[:0])
	return f
}

func hashBytes(h hash.Hash, b []byte) {
	hashLen(h, len(b))
	h.Write(b)
}

func hashChanges(h hash.Hash, c *sio.Changes) {
	data, _ := json.Marshal(c.Data) // what came as JSON can be written as such
	hashBytes(h, data)
	hashBool(h, c.Replace)
	hashBytes(h, []byte(c.Expire.UTC().Format(time.RFC3339Nano)))
	hashBool(h, c.Lasting)
	hashBool(h, c.User != nil)
	if c.User != nil {
		hashStrings(h, *c.User)
	}
}
