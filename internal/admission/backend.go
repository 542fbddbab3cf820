package admission

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"

	"github.com/fanoutd/fanoutd/internal/sio"
)

// Backend is a sio.Backend that lets in whom a source allows.
type Backend struct {
	sio.Backend // hears what those do; its own Connecting is not called

	source Source
	log    *slog.Logger

	admitted, refused, unavailable, left atomic.Uint64
}

var _ sio.Backend = (*Backend)(nil)

// New returns a Backend that asks source, and passes on to events what those do
// that were let in. log hears at debug level why others were not, which clients
// may not know.
func New(events sio.Backend, log *slog.Logger, source Source) *Backend {
	return &Backend{Backend: events, source: source, log: log}
}

// Connecting implements sio.Backend.
func (b *Backend) Connecting(ctx context.Context, s *sio.Socket, auth []byte) (sio.Admission, error) {
	a, err := Decide(ctx, s, auth, b.source)
	if err != nil {
		outcome := b.count(ctx, err)
		b.log.Debug("not letting a connection in", "outcome", outcome, "namespace", s.Namespace(),
			"remote", s.RemoteAddr(), "error", err)
		return sio.Admission{}, err
	}
	b.admitted.Add(1)
	return a, nil
}

// count counts a connection that was not let in, and returns as what.
func (b *Backend) count(ctx context.Context, err error) (outcome string) {
	if refusal := (*sio.Refusal)(nil); errors.As(err, &refusal) {
		b.refused.Add(1)
		return "refused"
	}
	if ctx.Err() != nil {
		b.left.Add(1)
		return "left"
	}
	b.unavailable.Add(1)
	return "unavailable"
}

// Stats counts decisions since the start. A session that is in several
// namespaces asks for each.
type Stats struct {
	Admitted    uint64
	Refused     uint64 // somebody decided so
	Unavailable uint64 // nobody decided, in time or at all
	Left        uint64 // the client left before there was a decision
}

// Stats returns the current counts.
func (b *Backend) Stats() Stats {
	return Stats{
		Admitted: b.admitted.Load(), Refused: b.refused.Load(),
		Unavailable: b.unavailable.Load(), Left: b.left.Load(),
	}
}
