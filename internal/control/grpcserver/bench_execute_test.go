package grpcserver

import (
	"errors"
	"io"
	"testing"
	"time"

	"google.golang.org/grpc"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// BenchmarkExecute sends commands of one kind over one stream, which is read to its end.
func BenchmarkExecute(b *testing.B) {
	join := &fanoutv1.JoinRequest{To: &fanoutv1.Target{Ids: []string{"some connection's id"}}, Rooms: []string{"some room"}}
	for name, op := range map[string]*fanoutv1.Operation{
		"emit": {Operation: &fanoutv1.Operation_Emit{Emit: benchEmit()}},
		"join": {Operation: &fanoutv1.Operation_Join{Join: join}},
	} {
		for _, results := range []fanoutv1.ExecuteRequest_Open_Results{fanoutv1.ExecuteRequest_Open_ALL, fanoutv1.ExecuteRequest_Open_ERRORS} {
			b.Run(name+"/"+results.String(), func(b *testing.B) {
				c := fanoutv1.NewEmitterServiceClient(dialTCP(b, deafHub{}))
				b.ReportAllocs()
				b.ResetTimer()
				answers := benchExecute(b, c, op, results, b.N)
				b.ReportMetric(float64(b.N)/float64(answers), "commands/ack")
			})
		}
	}
}

// BenchmarkExecuteBesideEmitStream sends emits by Execute and by EmitStream in turns, and tells
// how many times as long they take by Execute: that holds on a busy machine too.
func BenchmarkExecuteBesideEmitStream(b *testing.B) {
	const turn = 20_000 // emits
	op := &fanoutv1.Operation{Operation: &fanoutv1.Operation_Emit{Emit: benchEmit()}}
	for _, results := range []fanoutv1.ExecuteRequest_Open_Results{fanoutv1.ExecuteRequest_Open_ALL, fanoutv1.ExecuteRequest_Open_ERRORS} {
		b.Run(results.String(), func(b *testing.B) {
			c := fanoutv1.NewEmitterServiceClient(dialTCP(b, deafHub{}))
			var execute, emitStream time.Duration
			b.ResetTimer()
			for left := b.N; left > 0; left -= turn {
				n := min(left, turn)
				start := time.Now()
				benchExecute(b, c, op, results, n)
				between := time.Now()
				benchEmitStream(b, c, n)
				execute += between.Sub(start)
				emitStream += time.Since(between)
			}
			b.ReportMetric(float64(execute)/float64(emitStream), "x/EmitStream")
		})
	}
}

// benchExecute sends n commands and returns how many answers they had.
func benchExecute(b *testing.B, c fanoutv1.EmitterServiceClient, op *fanoutv1.Operation, results fanoutv1.ExecuteRequest_Open_Results, n int) (answers int) {
	stream, err := c.Execute(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	var through uint64
	got := 0
	ended := answersOf(stream, func(resp *fanoutv1.ExecuteResponse) {
		through = resp.GetAckedThrough()
		answers++
		got += len(resp.GetResults())
	})
	if err := stream.Send(&fanoutv1.ExecuteRequest{Request: &fanoutv1.ExecuteRequest_Open_{Open: &fanoutv1.ExecuteRequest_Open{Results: results}}}); err != nil {
		b.Fatal(err)
	}
	for i := range n {
		command := &fanoutv1.ExecuteRequest_Command{Sequence: uint64(i) + 1, Operation: op} //nolint:gosec // positive
		if err := stream.Send(&fanoutv1.ExecuteRequest{Request: &fanoutv1.ExecuteRequest_Command_{Command: command}}); err != nil {
			b.Fatal(err)
		}
	}
	if err := stream.CloseSend(); err != nil {
		b.Fatal(err)
	}
	want := n
	if results == fanoutv1.ExecuteRequest_Open_ERRORS {
		want = 0
	}
	if err := <-ended; !errors.Is(err, io.EOF) || through != uint64(n) || got != want { //nolint:gosec // positive
		b.Fatalf("acked through %d of %d with %d results, %v", through, n, got, err)
	}
	return answers
}

// benchEmitStream sends n emits and returns how many answers they had.
func benchEmitStream(b *testing.B, c fanoutv1.EmitterServiceClient, n int) (answers int) {
	stream, err := c.EmitStream(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	var through uint64
	ended := answersOf(stream, func(resp *fanoutv1.EmitStreamResponse) {
		through = resp.GetAckedThrough()
		answers++
	})
	emit := benchEmit()
	for i := range n {
		if err := stream.Send(&fanoutv1.EmitStreamRequest{Sequence: uint64(i) + 1, Emit: emit}); err != nil { //nolint:gosec // positive
			b.Fatal(err)
		}
	}
	if err := stream.CloseSend(); err != nil {
		b.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, io.EOF) || through != uint64(n) { //nolint:gosec // positive
		b.Fatalf("acked through %d of %d, %v", through, n, err)
	}
	return answers
}

// answersOf takes what comes on a stream until it ends, and tells with what.
func answersOf[Req, Resp any](stream grpc.BidiStreamingClient[Req, Resp], take func(*Resp)) <-chan error {
	ended := make(chan error, 1)
	go func() {
		for {
			resp, err := stream.Recv()
			if err != nil {
				ended <- err
				return
			}
			take(resp)
		}
	}()
	return ended
}
