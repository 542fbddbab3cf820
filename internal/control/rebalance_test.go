package control

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// TestRebalance: each look comes as one message; the time is a minute unless it is said, and
// bounded; without a cluster there is nothing to spread.
func TestRebalance(t *testing.T) {
	var over time.Duration
	spread := func(_ context.Context, d time.Duration, yield func(Balance) error) error {
		over = d
		return errors.Join(yield(Balance{Nodes: []NodeLoad{{"a", 5, 2}, {"b", 1, 0}}, Unreachable: []string{"c"}}), yield(Balance{Even: true}))
	}
	ask := func(o Options, req *fanoutv1.RebalanceRequest) (all []*fanoutv1.RebalanceResponse, err error) {
		_, conn := dial(t, newMemHub(), o)
		stream, err := fanoutv1.NewAdminServiceClient(conn).Rebalance(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		for {
			m, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				return all, nil
			}
			if err != nil {
				return all, err
			}
			all = append(all, m)
		}
	}
	got, err := ask(Options{Rebalance: spread}, &fanoutv1.RebalanceRequest{})
	if err != nil || len(got) != 2 || over != time.Minute {
		t.Fatalf("%v, %v, over %v", got, err, over)
	}
	if n := got[0].GetNodes(); len(n) != 2 || n[0].GetName() != "a" || n[0].GetSessions() != 5 || n[0].GetClosing() != 2 ||
		len(got[0].GetUnreachable()) != 1 || got[0].GetEven() || !got[1].GetEven() {
		t.Errorf("%v", got)
	}
	if _, err := ask(Options{Rebalance: spread}, &fanoutv1.RebalanceRequest{Time: durationpb.New(7 * time.Second)}); err != nil || over != 7*time.Second {
		t.Errorf("%v, over %v", err, over)
	}
	for _, d := range []time.Duration{-1, 0, 4 * time.Second, 25 * time.Hour} {
		if _, err := ask(Options{Rebalance: spread}, &fanoutv1.RebalanceRequest{Time: durationpb.New(d)}); status.Code(err) != codes.InvalidArgument {
			t.Errorf("time %v: %v", d, err)
		}
	}
	if _, err := ask(Options{}, &fanoutv1.RebalanceRequest{}); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("without a cluster: %v", err)
	}
}
