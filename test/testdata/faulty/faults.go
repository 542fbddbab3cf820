// What tests add to the daemon's package main, in the build of test/faulty_test.go and in
// no other: faults that a test causes, and a wall clock that it sets.
package main

import (
	"context"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/fanoutd/fanoutd/internal/control"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// The file beside the program says what its clock is off by at the start.
func init() {
	path, err := os.Executable()
	if err != nil {
		panic(err)
	}
	text, err := os.ReadFile(path + ".clock")
	if err != nil {
		return // it is right
	}
	d, err := time.ParseDuration(strings.TrimSpace(string(text)))
	if err != nil {
		panic(err)
	}
	time.ShiftWallClock(d)
}

// settable has the operators' listener set the clock: POST /clock?by=-1h.
func settable(pages http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /clock", func(w http.ResponseWriter, r *http.Request) {
		d, err := time.ParseDuration(r.FormValue("by"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		time.ShiftWallClock(d)
	})
	mux.Handle("/", pages)
	return mux
}

const fault = "a fault that a test causes"

// faultyBackend panics over events of that name, and over what happens in the namespaces
// that are called after it.
type faultyBackend struct{ sio.Backend }

func (b faultyBackend) Connecting(ctx context.Context, s *sio.Socket, auth []byte) (sio.Admission, error) {
	panicIn(s, "/tenant-connecting")
	return b.Backend.Connecting(ctx, s, auth)
}

func (b faultyBackend) Connected(s *sio.Socket) {
	panicIn(s, "/tenant-connected")
	b.Backend.Connected(s)
}

func (b faultyBackend) Event(s *sio.Socket, e sio.Event) {
	if e.Name == "panic" {
		panic(fault)
	}
	b.Backend.Event(s, e)
}

func (b faultyBackend) Disconnected(s *sio.Socket, end sio.End) {
	panicIn(s, "/tenant-disconnected")
	b.Backend.Disconnected(s, end)
}

func panicIn(s *sio.Socket, namespace string) {
	if s.Namespace() == namespace {
		panic(fault)
	}
}

// faultyHub panics over emits of that name.
type faultyHub struct{ control.Hub }

func (h faultyHub) Apply(ctx context.Context, op sio.Op) (sio.Result, error) {
	if e, ok := op.(sio.Emit); ok && e.Event == "panic" {
		panic(fault)
	}
	return h.Hub.Apply(ctx, op)
}
