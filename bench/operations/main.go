// Command operations sends operations over one stream as fast as the daemon takes them, and
// prints how many it took a second, until it had acknowledged them all:
//
//	go run ./operations -kind join -n 500000 localhost:8081
//
// Kinds are emit and join, which go through Execute, and emitstream, which is emit through
// EmitStream. Emits go to a room that nobody is in; joins and leaves, in turns, are those of a
// connection, if there is one, and of an id that nobody has otherwise. Give the daemon a
// processor of its own (GOMAXPROCS=1 taskset -c 0) and this another.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

func main() {
	log.SetFlags(0)
	kind := flag.String("kind", "emit", "emit, join or emitstream")
	n := flag.Uint64("n", 500_000, "how many")
	rounds := flag.Int("rounds", 3, "how many times")
	all := flag.Bool("results", false, "have each result of Execute sent, not only errors")
	flag.Parse()
	if flag.NArg() != 1 {
		log.Fatal("usage: operations [flags] CONTROL_ADDRESS")
	}
	conn, err := grpc.NewClient(flag.Arg(0), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	run, err := runOf(*kind, conn, *all)
	if err != nil {
		log.Fatal(err)
	}
	for range *rounds {
		start := time.Now()
		if err := run(*n); err != nil {
			log.Fatal(err)
		}
		each := time.Since(start) / time.Duration(*n)
		fmt.Printf("%s: %.0f/s, %v each\n", *kind, float64(time.Second)/float64(each), each)
	}
}

func runOf(kind string, conn *grpc.ClientConn, all bool) (func(n uint64) error, error) {
	emit := &fanoutv1.EmitRequest{
		To: &fanoutv1.Target{Rooms: []string{"a room of nobody"}}, Event: "tick",
		ArgsJson: `[{"symbol":"ABCD","price":"1234.5600","size":100}]`,
	}
	c := fanoutv1.NewEmitterServiceClient(conn)
	switch kind {
	case "emitstream":
		return func(n uint64) error { return emitStream(c, emit, n) }, nil
	case "emit":
		op := &fanoutv1.Operation{Operation: &fanoutv1.Operation_Emit{Emit: emit}}
		return func(n uint64) error { return execute(c, []*fanoutv1.Operation{op}, n, all) }, nil
	case "join":
		page, err := fanoutv1.NewRegistryServiceClient(conn).ListConnections(context.Background(),
			&fanoutv1.ListConnectionsRequest{To: &fanoutv1.Target{All: true}, PageSize: 1})
		if err != nil {
			return nil, err
		}
		to := &fanoutv1.Target{Ids: []string{"nobody"}}
		for _, c := range page.GetConnections() {
			to.Ids = []string{c.GetId()}
		}
		rooms := []string{"some room"}
		ops := []*fanoutv1.Operation{
			{Operation: &fanoutv1.Operation_Join{Join: &fanoutv1.JoinRequest{To: to, Rooms: rooms}}},
			{Operation: &fanoutv1.Operation_Leave{Leave: &fanoutv1.LeaveRequest{To: to, Rooms: rooms}}},
		}
		return func(n uint64) error { return execute(c, ops, n, all) }, nil
	}
	return nil, fmt.Errorf("-kind is emit, join or emitstream, not %q", kind)
}

func execute(c fanoutv1.EmitterServiceClient, ops []*fanoutv1.Operation, n uint64, all bool) error {
	stream, err := c.Execute(context.Background())
	if err != nil {
		return err
	}
	ended := throughOf(stream, func(m *fanoutv1.ExecuteResponse) uint64 {
		for _, r := range m.GetResults() {
			if s := r.GetResult().GetStatus(); s != nil {
				log.Fatal("refused: ", s)
			}
		}
		return m.GetAckedThrough()
	})
	open := &fanoutv1.ExecuteRequest_Open{Results: fanoutv1.ExecuteRequest_Open_ERRORS}
	if all {
		open.Results = fanoutv1.ExecuteRequest_Open_ALL
	}
	if err := stream.Send(&fanoutv1.ExecuteRequest{Request: &fanoutv1.ExecuteRequest_Open_{Open: open}}); err != nil {
		return err
	}
	for i := range n {
		command := &fanoutv1.ExecuteRequest_Command{Sequence: i + 1, Operation: ops[i%uint64(len(ops))]}
		if err := stream.Send(&fanoutv1.ExecuteRequest{Request: &fanoutv1.ExecuteRequest_Command_{Command: command}}); err != nil {
			return err
		}
	}
	return ended(n)
}

func emitStream(c fanoutv1.EmitterServiceClient, emit *fanoutv1.EmitRequest, n uint64) error {
	stream, err := c.EmitStream(context.Background())
	if err != nil {
		return err
	}
	ended := throughOf(stream, func(m *fanoutv1.EmitStreamResponse) uint64 {
		if len(m.GetErrors()) > 0 {
			log.Fatal("refused: ", m.GetErrors())
		}
		return m.GetAckedThrough()
	})
	for i := range n {
		if err := stream.Send(&fanoutv1.EmitStreamRequest{Sequence: i + 1, Emit: emit}); err != nil {
			return err
		}
	}
	return ended(n)
}

// throughOf takes what comes on a stream; through is up to where an answer acknowledges. The
// function that it returns closes the stream and waits until it has been acknowledged up to n.
func throughOf[Req, Resp any](stream grpc.BidiStreamingClient[Req, Resp], through func(*Resp) uint64) func(n uint64) error {
	var last uint64
	ended := make(chan error, 1)
	go func() {
		for {
			m, err := stream.Recv()
			if err != nil {
				ended <- err
				return
			}
			last = through(m)
		}
	}()
	return func(n uint64) error {
		if err := stream.CloseSend(); err != nil {
			return err
		}
		if err := <-ended; !errors.Is(err, io.EOF) || last != n {
			return fmt.Errorf("acknowledged through %d of %d: %w", last, n, err)
		}
		return nil
	}
}
