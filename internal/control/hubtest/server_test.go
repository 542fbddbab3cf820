package hubtest

import (
	"context"
	"log/slog"
	"net/http"
	"testing"

	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/sio/engineio"
	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

// admit is a Backend that admits everybody as what it says at the moment.
type admit struct{ sio.Admission }

func (a *admit) Connecting(context.Context, *sio.Socket, []byte) (sio.Admission, error) {
	return a.Admission, nil
}
func (*admit) Connected(*sio.Socket)              {}
func (*admit) Event(*sio.Socket, sio.Event)       {}
func (*admit) Disconnected(*sio.Socket, sio.End)  {}
func (*admit) RecoveryExpired(sio.LostConnection) {}

func TestServer(t *testing.T) {
	Test(t, func(t *testing.T) Fixture {
		backend := &admit{}
		s, err := sio.NewServer(sio.Options{
			Node: "node", Namespaces: []string{"/", "/chat"}, Backend: backend,
			Engine: engineio.Options{Logger: slog.New(slog.DiscardHandler)},
		})
		if err != nil {
			t.Fatal(err)
		}
		l := wiretest.Listen()
		hs := &http.Server{Handler: s}
		go hs.Serve(l)
		t.Cleanup(func() { hs.Close() })
		return Fixture{Hub: s, Connect: func(namespace, user string, rooms ...string) string {
			backend.Admission = sio.Admission{User: user, Rooms: rooms}
			if namespace == "/" {
				namespace = ""
			}
			c, id := l.Connect(t, namespace)
			t.Cleanup(func() { c.Close() })
			return id
		}}
	})
}
