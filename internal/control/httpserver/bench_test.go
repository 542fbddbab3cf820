package httpserver

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/certfile/certtest"
	"github.com/fanoutd/fanoutd/internal/control"
	"github.com/fanoutd/fanoutd/internal/control/grpcserver"
	"github.com/fanoutd/fanoutd/internal/control/identity"
	"github.com/fanoutd/fanoutd/internal/h2split"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// deafHub takes operations and does nothing.
type deafHub struct{ control.Hub }

func (deafHub) Apply(context.Context, sio.Op) (sio.Result, error) { return sio.Result{Matched: 1}, nil }

// onePort serves what the control port serves, by both servers, and returns its address.
func onePort(b *testing.B, config *tls.Config) string {
	b.Helper()
	callers, err := identity.NewAuthenticator(nil, true)
	if err != nil {
		b.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	services := control.New(deafHub{}, control.Options{Logger: log})
	rpc, web := grpcserver.New(services, callers, grpcserver.Options{TLS: config}), New(services, callers, Options{Open: true, Logger: log})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	both := h2split.Listen(l, h2split.Options{TLS: config, Timeout: time.Minute})
	go func() { _ = rpc.Serve(both.HTTP2()) }()
	go func() { _ = web.Serve(both.Others()) }()
	b.Cleanup(func() {
		_ = rpc.Shutdown(context.Background())
		_ = web.Shutdown(context.Background())
	})
	return l.Addr().String()
}

// processorTime is what the process has used.
func processorTime(b *testing.B) time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// BenchmarkEmit has one client after the other send the same event to the control port, by
// each way that there is to it: over TLS gRPC's libraries offer h2 alone and get gRPC's
// server, and who offers http/1.1 too gets net/http, for gRPC as well. Clients and server
// are one process.
func BenchmarkEmit(b *testing.B) {
	authority := certtest.New(b, "servers")
	config := &tls.Config{Certificates: []tls.Certificate{authority.Issue(b, "server").TLS(b)}}
	client := func(protocols ...string) *tls.Config {
		return &tls.Config{RootCAs: authority.Pool(), NextProtos: protocols}
	}
	run := func(b *testing.B, emit func() error) {
		b.Helper()
		if err := emit(); err != nil { // with the handshake
			b.Fatal(err)
		}
		b.ReportAllocs()
		before := processorTime(b)
		for b.Loop() {
			if err := emit(); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64((processorTime(b)-before).Microseconds())/float64(b.N), "cpu-us/op")
	}
	rpc := func(server *tls.Config, as credentials.TransportCredentials) func(*testing.B) {
		return func(b *testing.B) {
			conn, err := grpc.NewClient(onePort(b, server), grpc.WithTransportCredentials(as))
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			c := fanoutv1.NewEmitterServiceClient(conn)
			req := &fanoutv1.EmitRequest{To: &fanoutv1.Target{Rooms: []string{"some room"}}, Event: "tick", ArgsJson: `[{"symbol":"ABCD","price":"1234.5600","size":100}]`}
			run(b, func() error {
				_, err := c.Emit(b.Context(), req)
				return err
			})
		}
	}
	web := func(server *tls.Config, protocol int) func(*testing.B) {
		return func(b *testing.B) {
			scheme, protocols := "https://", new(http.Protocols)
			if server == nil {
				scheme = "http://"
			}
			protocols.SetHTTP1(true) // who offers h2 alone gets gRPC's server, which knows no JSON
			protocols.SetHTTP2(protocol == 2)
			c := &http.Client{Transport: &http.Transport{TLSClientConfig: client(), Protocols: protocols}}
			defer c.CloseIdleConnections()
			url := scheme + onePort(b, server) + "/fanout.v1.EmitterService/Emit"
			body := []byte(`{"to":{"rooms":["some room"]},"event":"tick","argsJson":"[{\"symbol\":\"ABCD\",\"price\":\"1234.5600\",\"size\":100}]"}`)
			run(b, func() error {
				res, err := c.Post(url, "application/json", bytes.NewReader(body))
				if err != nil {
					return err
				}
				defer res.Body.Close()
				if res.StatusCode != http.StatusOK || res.ProtoMajor != protocol {
					return fmt.Errorf("%s by %s", res.Status, res.Proto)
				}
				_, err = io.Copy(io.Discard, res.Body)
				return err
			})
		}
	}
	b.Run("gRPC, plain", rpc(nil, insecure.NewCredentials()))
	b.Run("gRPC, TLS", rpc(config, credentials.NewTLS(client())))
	b.Run("gRPC by net http, TLS", rpc(config, credentials.NewTLS(client("h2", "http/1.1"))))
	b.Run("JSON by HTTP 2, TLS", web(config, 2))
	b.Run("JSON by HTTP 1, TLS", web(config, 1))
	b.Run("JSON by HTTP 1, plain", web(nil, 1))
}
