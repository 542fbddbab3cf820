package grpcserver

import (
	"errors"
	"io"
	"testing"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// BenchmarkExecute sends commands of one kind over one stream, which is read to its end.
// Its emits compare with BenchmarkEmitStream's.
func BenchmarkExecute(b *testing.B) {
	join := &fanoutv1.JoinRequest{To: &fanoutv1.Target{Ids: []string{"some connection's id"}}, Rooms: []string{"some room"}}
	for name, op := range map[string]*fanoutv1.Operation{
		"emit": {Operation: &fanoutv1.Operation_Emit{Emit: benchEmit()}},
		"join": {Operation: &fanoutv1.Operation_Join{Join: join}},
	} {
		for _, results := range []fanoutv1.ExecuteRequest_Open_Results{fanoutv1.ExecuteRequest_Open_ALL, fanoutv1.ExecuteRequest_Open_ERRORS} {
			b.Run(name+"/"+results.String(), func(b *testing.B) { benchExecute(b, op, results) })
		}
	}
}

func benchExecute(b *testing.B, op *fanoutv1.Operation, results fanoutv1.ExecuteRequest_Open_Results) {
	stream, err := fanoutv1.NewEmitterServiceClient(dialTCP(b, deafHub{})).Execute(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	var through uint64
	var answers, got int
	ended := make(chan error, 1)
	go func() {
		for {
			resp, err := stream.Recv()
			if err != nil {
				ended <- err
				return
			}
			through = resp.GetAckedThrough()
			answers++
			got += len(resp.GetResults())
		}
	}()
	b.ReportAllocs()
	b.ResetTimer()
	if err := stream.Send(&fanoutv1.ExecuteRequest{Request: &fanoutv1.ExecuteRequest_Open_{Open: &fanoutv1.ExecuteRequest_Open{Results: results}}}); err != nil {
		b.Fatal(err)
	}
	for i := range b.N {
		command := &fanoutv1.ExecuteRequest_Command{Sequence: uint64(i) + 1, Operation: op} //nolint:gosec // positive
		if err := stream.Send(&fanoutv1.ExecuteRequest{Request: &fanoutv1.ExecuteRequest_Command_{Command: command}}); err != nil {
			b.Fatal(err)
		}
	}
	if err := stream.CloseSend(); err != nil {
		b.Fatal(err)
	}
	want := b.N
	if results == fanoutv1.ExecuteRequest_Open_ERRORS {
		want = 0
	}
	if err := <-ended; !errors.Is(err, io.EOF) || through != uint64(b.N) || got != want { //nolint:gosec // positive
		b.Fatalf("acked through %d of %d with %d results, %v", through, b.N, got, err)
	}
	b.ReportMetric(float64(b.N)/float64(answers), "commands/ack")
}
