package grpcserver

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/control"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// BenchmarkConsume is the way of an event from a browser's WebSocket to one
// consumer and of its ack back, over loopback, with everything in one process:
// browsers, daemon and consumer. The aim is 20,000 events a second on two cores.
func BenchmarkConsume(b *testing.B) {
	for _, browsers := range []int{1, 100} {
		b.Run(fmt.Sprintf("browsers=%d", browsers), func(b *testing.B) { benchConsume(b, browsers) })
	}
}

func benchConsume(b *testing.B, browsers int) {
	quiet := slog.New(slog.DiscardHandler)
	d := dispatch.New(dispatch.Options{Logger: quiet})
	so := sio.Options{Backend: d}
	so.Engine.Logger = quiet
	sockets, err := sio.NewServer(so)
	if err != nil {
		b.Fatal(err)
	}
	web := &http.Server{Handler: sockets}
	webAt, grpcAt := listenTCP(b), listenTCP(b)
	go web.Serve(webAt)
	s := New(control.New(sockets, control.Options{Dispatcher: control.DispatcherOf(d), Info: control.Info{MaxPayload: 1e6}, Logger: quiet}), authenticator(b), Options{})
	go s.Serve(grpcAt)
	conn, err := grpc.NewClient(grpcAt.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		conn.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		sockets.Shutdown(ctx)
		web.Close()
		s.Shutdown(ctx)
	})
	stream, err := fanoutv1.NewEventServiceClient(conn).Consume(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	if err := stream.Send(&fanoutv1.ConsumeRequest{Request: &fanoutv1.ConsumeRequest_Open_{
		Open: &fanoutv1.ConsumeRequest_Open{Group: "g", MaxInFlight: 5000},
	}}); err != nil {
		b.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		b.Fatal(err)
	}
	var sessions []*websocket.Conn
	for range browsers {
		c, _, err := websocket.DefaultDialer.Dial("ws://"+webAt.Addr().String()+"/socket.io/?EIO=4&transport=websocket", nil)
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		c.WriteMessage(websocket.TextMessage, []byte("40"))
		for range 2 { // open, connected
			if _, _, err := c.ReadMessage(); err != nil {
				b.Fatal(err)
			}
		}
		sessions = append(sessions, c)
	}
	b.ReportAllocs()
	b.ResetTimer()
	var saying sync.WaitGroup
	for i, c := range sessions {
		saying.Go(func() {
			for n := i; n < b.N; n += browsers {
				text := `42["tick",{"symbol":"ABCD","price":"1234.5600","size":` + strconv.Itoa(n) + `}]`
				if c.WriteMessage(websocket.TextMessage, []byte(text)) != nil {
					return
				}
			}
		})
	}
	var ids []string
	for n := 0; n < b.N; {
		m, err := stream.Recv()
		if err != nil {
			b.Fatal(err)
		}
		for _, e := range m.GetEvents().GetEvents() {
			ids = append(ids, e.GetDeliveryId())
			n++
		}
		if len(ids) >= 100 || n == b.N {
			if err := stream.Send(&fanoutv1.ConsumeRequest{Request: &fanoutv1.ConsumeRequest_Ack_{
				Ack: &fanoutv1.ConsumeRequest_Ack{DeliveryIds: ids},
			}}); err != nil {
				b.Fatal(err)
			}
			ids = nil
		}
	}
	saying.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

func listenTCP(b *testing.B) net.Listener {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	return l
}
