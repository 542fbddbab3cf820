// Command server is what conformance tests talk to: the reactions that the
// official test suites of Engine.IO and Socket.IO expect, at /engine.io/ and
// /socket.io/. It is for tests: it lets every page in and echoes what it hears.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/sio/engineio"
	"github.com/fanoutd/fanoutd/internal/sio/room"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "where to listen; the address is printed")
	interval := flag.Duration("ping-interval", 300*time.Millisecond, "what the official suites expect: they wait for whole heartbeats")
	timeout := flag.Duration("ping-timeout", 200*time.Millisecond, "the suites' likewise")
	connect := flag.Duration("connect-timeout", time.Second, "the suites' likewise")
	old := flag.Bool("allow-eio3", true, "let clients of Engine.IO v3 in")
	origins := flag.String("origins", "*", "pages that may connect, between commas")
	transports := flag.String("transports", "polling,websocket", "transports that may be used, between commas")
	deflate := flag.Bool("per-message-deflate", false, "compress WebSocket messages")
	leash := flag.Bool("leash", false, "end when stdin does, as it does when whoever started this is gone")
	debug := flag.Bool("debug", false, "log what is refused")
	flag.Parse()
	if *leash {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(0)
		}()
	}
	level := slog.LevelError
	if *debug {
		level = slog.LevelDebug
	}
	options := engineio.Options{
		PingInterval:      *interval,
		PingTimeout:       *timeout,
		MaxPayload:        1_000_000,
		AllowEIO3:         *old,
		PerMessageDeflate: *deflate,
		Logger:            slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})),
	}
	var err error
	if options.Origins, err = engineio.ParseOrigins(strings.Split(*origins, ",")); err != nil {
		log.Fatal(err)
	}
	if options.Transports, err = engineio.ParseTransports(strings.Split(*transports, ",")); err != nil {
		log.Fatal(err)
	}
	log.Fatal(run(*listen, *connect, options))
}

func run(listen string, connectTimeout time.Duration, options engineio.Options) error {
	engine, err := engineio.NewServer(options, echo{})
	if err != nil {
		return err
	}
	backend := &reactions{auth: map[string][]byte{}}
	backend.server, err = sio.NewServer(sio.Options{
		Engine: options, Namespaces: []string{"/", "/custom"}, ConnectTimeout: connectTimeout, Backend: backend,
	})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	mux := http.NewServeMux()
	mux.Handle("/engine.io/", engine)
	mux.Handle("/socket.io/", backend.server)
	return (&http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}).Serve(l)
}

// echo sends back what a session sends.
type echo struct{}

func (echo) Open(s *engineio.Session, _ *http.Request) (engineio.Receiver, error) {
	s.MarkJoined()
	return echoing{s}, nil
}

type echoing struct{ session *engineio.Session }

func (e echoing) Receive(data []byte, binary bool) {
	if binary {
		e.session.Send(engineio.Binary(data))
	} else {
		e.session.Send(engineio.Text(data))
	}
}

func (echoing) Closed(engineio.Reason) {}

// reactions are a backend that says hello with what the client passed as auth,
// and answers the events "message", "message-with-ack", "query", "leave" and "kick".
type reactions struct {
	server *sio.Server

	mu   sync.Mutex
	auth map[string][]byte // by id, between Connecting and Connected
}

func (r *reactions) Connecting(_ context.Context, s *sio.Socket, auth []byte) (sio.Admission, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.auth[s.ID()] = auth
	return sio.Admission{}, nil
}

func (r *reactions) Connected(s *sio.Socket) {
	r.mu.Lock()
	auth := r.auth[s.ID()]
	delete(r.auth, s.ID())
	r.mu.Unlock()
	if auth == nil {
		auth = []byte("{}")
	}
	args, err := json.Marshal([]json.RawMessage{auth})
	if err == nil {
		r.emit(s, "auth", args, nil)
	}
}

func (r *reactions) Event(s *sio.Socket, e sio.Event) {
	switch {
	case e.Name == "message":
		r.emit(s, "message-back", []byte(e.Args), e.Attachments)
	case e.Name == "query":
		args, err := json.Marshal([]any{s.Connection().Handshake.Query}) // its members sorted by name
		if err == nil {
			r.emit(s, "message-back", args, nil)
		}
	case e.Name == "leave":
		r.emit(s, "message-back", []byte(`["last"]`), nil)
		r.apply(sio.Disconnect{To: one(s), Mode: sio.DisconnectTransport})
	case e.Name == "kick":
		r.emit(s, "message-back", []byte(`["last"]`), nil)
		r.apply(sio.Disconnect{To: one(s), Mode: sio.DisconnectSession})
	case e.Name == "message-with-ack" && e.WantsAck:
		if err := s.Ack(e.AckID, []byte(e.Args), e.Attachments); err != nil {
			log.Print(err)
		}
	}
}

func (*reactions) RecoveryExpired(sio.LostConnection) {}

func (r *reactions) Disconnected(s *sio.Socket, _ sio.End) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.auth, s.ID())
}

func (r *reactions) emit(s *sio.Socket, event string, args []byte, attachments [][]byte) {
	r.apply(sio.Emit{To: one(s), Event: event, Args: args, Attachments: attachments, Compress: true})
}

func (r *reactions) apply(op sio.Op) {
	if _, err := r.server.Apply(context.Background(), op); err != nil {
		log.Print(err)
	}
}

// one is the target that s alone is.
func one(s *sio.Socket) sio.Target {
	return sio.Target{Namespace: s.Namespace(), Selector: room.Selector{IDs: []string{s.ID()}}}
}
