package backend

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"

	"github.com/fanoutd/fanoutd/internal/control"
	"github.com/fanoutd/fanoutd/internal/control/grpcserver"
	"github.com/fanoutd/fanoutd/internal/control/identity"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/sio/engineio"
	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

// BenchmarkConsume is one event from a browser's WebSocket to a handler of one
// consumer and its ack back, everything of both sides in one process.
func BenchmarkConsume(b *testing.B) {
	const browsers = 50
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	d := dispatch.New(dispatch.Options{Logger: quiet})
	sockets, err := sio.NewServer(sio.Options{Namespaces: []string{"/"}, Backend: d, Engine: engineio.Options{Logger: quiet}})
	if err != nil {
		b.Fatal(err)
	}
	everybody, err := identity.NewAuthenticator(nil, true)
	if err != nil {
		b.Fatal(err)
	}
	api := grpcserver.New(control.New(sockets, control.Options{Dispatcher: control.DispatcherOf(d), Logger: quiet}), everybody, grpcserver.Options{})
	l, pipe := wiretest.Listen(), bufconn.Listen(1<<20)
	web := &http.Server{Handler: sockets}
	go web.Serve(l)
	go api.Serve(pipe)
	defer web.Close()

	client, err := Dial(b.Context(), "passthrough:///memory", Options{Logger: quiet, DialOptions: []grpc.DialOption{
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return pipe.DialContext(ctx) }),
	}})
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	c := client.Consumer(ConsumerOptions{Group: "g"})
	var handled atomic.Int64
	all := make(chan struct{})
	c.OnConnect(func(context.Context, *Event) error { return nil })
	c.On("n", func(context.Context, *Event) (Reply, error) {
		if handled.Add(1) == int64(b.N) {
			close(all)
		}
		return nil, nil
	})
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	for len(d.Groups()) == 0 { // it has joined soon
	}
	conns := make([]*wiretest.WS, browsers)
	for i := range conns {
		conns[i], _ = l.Connect(b, "")
		conns[i].Idle()
	}
	b.ResetTimer()
	for i, ws := range conns {
		go func() {
			for n := i; n < b.N; n += browsers {
				ws.Say(fmt.Sprintf(`42["n",%d,"%s"]`, n, strings.Repeat("x", 100)))
			}
		}()
	}
	<-all
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	cancel()
	if err := <-ended; err != nil {
		b.Error(err)
	}
	for _, ws := range conns {
		ws.Close()
	}
	api.Shutdown(b.Context())
}
