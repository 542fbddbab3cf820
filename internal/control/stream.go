package control

import (
	"errors"
	"io"

	"google.golang.org/grpc"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// EmitStream reads and applies the items on the caller's goroutine, one after
// the other, and sends acks from a second one, which it waits for.
func (e *Emitter) EmitStream(stream grpc.BidiStreamingServer[fanoutv1.EmitStreamRequest, fanoutv1.EmitStreamResponse]) error {
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
func (e *Emitter) receive(stream grpc.BidiStreamingServer[fanoutv1.EmitStreamRequest, fanoutv1.EmitStreamResponse], a *acks) error {
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
