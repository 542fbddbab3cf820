package sio

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"testing"

	"github.com/fanoutd/fanoutd/internal/sio/engineio"
	"github.com/fanoutd/fanoutd/internal/sio/room"
	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

// What a join and a leave of one connection cost, with so many watches of all connections
// that nobody reads, and of a room that it is not in.
func BenchmarkWatchedJoin(b *testing.B) {
	for _, watches := range []int{0, 1, 10, 100} {
		for name, sel := range map[string]room.Selector{"all": {All: true}, "another room": {Rooms: []string{"other"}}} {
			b.Run(fmt.Sprintf("%d watches of %s", watches, name), func(b *testing.B) {
				s, err := NewServer(Options{Engine: engineio.Options{Logger: slog.New(slog.DiscardHandler)}})
				if err != nil {
					b.Fatal(err)
				}
				l := wiretest.Listen()
				web := &http.Server{Handler: s}
				go web.Serve(l)
				defer web.Close()
				c, id := l.Connect(b, "")
				defer c.Close()
				for range watches {
					w, err := s.Watch(b.Context(), WatchRequest{To: to(sel), Connections: true})
					if err != nil {
						b.Fatal(err)
					}
					defer w.Stop()
					for range 3 {
						w.Next()
					}
				}
				one, rooms := to(room.Selector{IDs: []string{id}}), []string{"r"}
				b.ReportAllocs()
				for b.Loop() {
					for _, op := range []Op{Join{To: one, Rooms: rooms}, Leave{To: one, Rooms: rooms}} {
						if _, err := s.Apply(context.Background(), op); err != nil {
							b.Fatal(err)
						}
					}
				}
			})
		}
	}
}
