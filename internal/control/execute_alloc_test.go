package control

import (
	"context"
	"log/slog"
	"testing"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/control/identity"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// idleHub takes operations and does nothing.
type idleHub struct{ Hub }

func (idleHub) Apply(context.Context, sio.Op) (sio.Result, error) { return sio.Result{Matched: 1}, nil }

// A command of Execute whose result is not asked for allocates no more than the same operation
// by itself, as an item of EmitStream does it.
func TestExecuteAllocates(t *testing.T) {
	ctx := identity.NewContext(t.Context(), identity.Unlimited("somebody"))
	e := New(idleHub{}, Options{Logger: slog.New(slog.DiscardHandler)}).Emitter
	emit := &fanoutv1.EmitRequest{To: &fanoutv1.Target{Rooms: []string{"a"}}, Event: "tick", ArgsJson: `[{"price":"1234.56"}]`}
	join := &fanoutv1.JoinRequest{To: &fanoutv1.Target{Ids: []string{"a"}}, Rooms: []string{"b"}}
	for _, tt := range []struct {
		name  string
		op    *fanoutv1.Operation
		alone func() pending
	}{
		{
			"emit", &fanoutv1.Operation{Operation: &fanoutv1.Operation_Emit{Emit: emit}},
			func() pending { return e.submit(ctx, emit, place{inner: "emit"}) },
		},
		{
			"join", &fanoutv1.Operation{Operation: &fanoutv1.Operation_Join{Join: join}},
			func() pending { return e.registry.join(ctx, join, place{}) },
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x := &execution{emitter: e, ctx: ctx, results: newResults(), errors: true}
			m := &fanoutv1.ExecuteRequest_Command{Operation: tt.op}
			command := testing.AllocsPerRun(1000, func() {
				m.Sequence++
				if err := x.command(m); err != nil {
					t.Fatal(err)
				}
			})
			alone := testing.AllocsPerRun(1000, func() {
				if a, err := tt.alone().get(); err != nil || a.Matched != 1 {
					t.Fatal(a, err)
				}
			})
			if x.results.through != m.GetSequence() || command > alone {
				t.Errorf("%v allocations for a command, %v without: %d of %d are done", command, alone, x.results.through, m.GetSequence())
			}
		})
	}
}
