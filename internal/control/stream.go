package control

import (
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
// drainWait after the drain has begun.
func (e *Emitter) EmitStream(stream emitStream) error {
	ended := e.streams.start(stream.Context(), fanoutv1.EmitterService_EmitStream_FullMethodName,
		func() error { return e.serveStream(stream) })
	select {
	case err := <-ended:
		return err
	case <-e.draining:
	}
	late := time.NewTimer(drainWait)
	defer late.Stop()
	select {
	case err := <-ended:
		return err
	case <-late.C:
		return ErrClosing
	}
}

// serveStream reads and applies the items on the caller's goroutine, one after
// the other, and sends acks from a second one, which it waits for.
func (e *Emitter) serveStream(stream emitStream) error {
	a := newAcks()
	sent := make(chan error, 1)
	go func() { sent <- a.send(stream, e.draining) }()

	err := e.receive(stream, a)
	a.finish()
	if sendErr := <-sent; err == nil {
		err = sendErr
	}
	return err
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
			_, err = e.emit(ctx, item.GetEmit(), "emit")
		}
		err = e.errors.Code(ctx, fanoutv1.EmitterService_EmitStream_FullMethodName, err)
		if err := a.add(ctx, last, sequence, err); err != nil {
			return err
		}
	}
}
