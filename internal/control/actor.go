package control

import (
	"context"

	"github.com/fanoutd/fanoutd/internal/sio"
)

type actorKey struct{}

// withActor returns ctx with a as the one who changes connections; empty: nobody who said so.
func withActor(ctx context.Context, a sio.Actor) context.Context {
	if a == "" {
		return ctx
	}
	return context.WithValue(ctx, actorKey{}, a)
}

// actorOf returns who changes connections of a target: ctx's actor, if it names them by their
// ids alone. Whom it reaches otherwise it does not know, so that is to be told to it as what
// others do is.
func actorOf(ctx context.Context, to sio.Target) sio.Actor {
	if to.All || len(to.Rooms)+len(to.Users)+len(to.Except) > 0 || to.Owner != (sio.Owner{}) {
		return ""
	}
	a, _ := ctx.Value(actorKey{}).(sio.Actor)
	return a
}
