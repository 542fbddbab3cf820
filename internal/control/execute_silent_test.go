package control

import (
	"context"
	"io"
	"sync/atomic"

	"google.golang.org/grpc"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// silentCommands is how many commands a silentExecution has.
const silentCommands = 20_000

// silentExecution is a stream of commands whose caller reads nothing until it is released.
type silentExecution struct {
	grpc.ServerStream
	ctx             context.Context
	op              *fanoutv1.Operation
	release         chan struct{}
	received, ended atomic.Int64
}

func (s *silentExecution) Context() context.Context { return s.ctx }

func (s *silentExecution) Recv() (*fanoutv1.ExecuteRequest, error) {
	n := s.received.Add(1)
	if n > silentCommands {
		return nil, io.EOF
	}
	return &fanoutv1.ExecuteRequest{Request: &fanoutv1.ExecuteRequest_Command_{Command: &fanoutv1.ExecuteRequest_Command{
		Sequence: uint64(n), Operation: s.op, //nolint:gosec // positive
	}}}, nil
}

func (s *silentExecution) Send(m *fanoutv1.ExecuteResponse) error {
	<-s.release
	for _, r := range m.GetResults() {
		if r.GetLast() {
			s.ended.Add(1)
		}
	}
	return nil
}
