package control

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

type emitStream = grpc.BidiStreamingServer[fanoutv1.EmitStreamRequest, fanoutv1.EmitStreamResponse]

// drainWait is how long a caller that was told draining may take to close its
// side; browsers are gone by then.
const drainWait = 2 * time.Second

// EmitStream ends when the caller has closed its side, the stream breaks, or
// drainWait after the drain has begun. One goroutine reads and applies the items,
// one after the other; another sends acks.
func (e *Emitter) EmitStream(stream emitStream) error {
	a := newAcks()
	return e.twoWay(stream.Context(), fanoutv1.EmitterService_EmitStream_FullMethodName,
		func() error {
			defer a.finish() // after a panic too
			return e.receive(stream, a)
		},
		func() error { return a.send(stream, e.draining) })
}

// twoWay runs both directions of a stream, a call of this method, each on a goroutine of
// its own. receive ends when the caller has closed its side and all that came is done, and
// send then, when all is said; both end when the stream breaks. twoWay ends with them, or
// drainWait after the drain has begun.
func (e *Emitter) twoWay(ctx context.Context, method string, receive, send func() error) error {
	sent := e.streams.start(ctx, method, send)
	received := e.streams.start(ctx, method, receive)
	draining, late := e.draining, (<-chan time.Time)(nil)
	for {
		select {
		case err := <-received:
			if err != nil {
				return err
			}
			received = nil // what is left to say is being said
		case err := <-sent:
			if err == nil && received != nil {
				err = <-received // it has finished
			}
			return err
		case <-draining:
			timer := time.NewTimer(drainWait)
			defer timer.Stop()
			draining, late = nil, timer.C
		case <-late:
			return ErrClosing
		}
	}
}

// receive applies items until the caller has closed its side, which is nil, or
// the stream breaks.
func (e *Emitter) receive(stream emitStream, a *acks) error {
	ctx := stream.Context()
	var last uint64
	for {
		item, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		sequence := item.GetSequence()
		if sequence <= last {
			err = invalid(&problems{}, "sequence", "%d does not come after %d", sequence, last)
		} else {
			last = sequence
			_, err = e.submit(ctx, item.GetEmit(), place{inner: "emit"}).get()
		}
		err = e.errors.Code(ctx, fanoutv1.EmitterService_EmitStream_FullMethodName, err)
		if err := a.add(ctx, last, sequence, err); err != nil {
			return err
		}
	}
}
