package grpcserver

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/control"
	"github.com/fanoutd/fanoutd/internal/control/api"
	"github.com/fanoutd/fanoutd/internal/dispatch"
)

// begin begins a call of method, and sends nothing of its request.
func begin(ctx context.Context, t *testing.T, conn *grpc.ClientConn, method string) grpc.ClientStream {
	t.Helper()
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

// Callers that nobody knows are told so by their headers: no request of theirs is read,
// nor kept until its last byte comes.
func TestRefusedBeforeTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, conn := dial(t, &fakeHub{}, control.Options{Dispatcher: control.DispatcherOf(dispatch.New(dispatch.Options{}))}, "key")
		methods := 0
		for service, info := range s.grpc.GetServiceInfo() {
			for _, m := range info.Methods {
				method := "/" + service + "/" + m.Name
				if strings.HasPrefix(method, "/"+healthv1.Health_ServiceDesc.ServiceName+"/") && m.Name != "List" {
					continue // open to everybody
				}
				methods++
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				err := begin(ctx, t, conn, method).RecvMsg(&emptypb.Empty{})
				cancel()
				if status.Code(err) != codes.Unauthenticated {
					t.Errorf("%s: got %v, want UNAUTHENTICATED", method, err)
				}
			}
		}
		if methods < 20 {
			t.Errorf("%d methods are served, which are too few", methods)
		}
	})
}

// Calls that need no key have their requests read for a while only, and keep nothing large
// of them.
func TestOpenRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, conn := dial(t, &fakeHub{}, control.Options{}, "key")
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		for _, method := range api.Access.Open {
			start := time.Now()
			err := begin(ctx, t, conn, method).RecvMsg(&emptypb.Empty{})
			if took := time.Since(start); status.Code(err) != codes.DeadlineExceeded || took != openTimeout {
				t.Errorf("%s: got %v after %v, want DEADLINE_EXCEEDED after %v", method, err, took, openTimeout)
			}
		}
		watch, err := healthv1.NewHealthClient(conn).Watch(ctx, &healthv1.HealthCheckRequest{Service: strings.Repeat("x", api.MaxServiceName+1)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := watch.Recv(); status.Code(err) != codes.NotFound {
			t.Errorf("a long name: got %v, want NOT_FOUND", err)
		}
	})
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// A request that is none is the mistake of its caller, who is told so: no line of the log
// tells operators of it.
func TestRequestIsNone(t *testing.T) {
	var logged atomic.Int32
	_, conn := dial(t, &fakeHub{}, control.Options{Logger: slog.New(slog.NewTextHandler(writerFunc(func(line []byte) (int, error) {
		logged.Add(1)
		t.Logf("%s", line)
		return len(line), nil
	}), nil))})
	for _, method := range []string{fanoutv1.EmitterService_Emit_FullMethodName, fanoutv1.EmitterService_EmitStream_FullMethodName} {
		stream := begin(t.Context(), t, conn, method)
		broken := &emptypb.Empty{}
		broken.ProtoReflect().SetUnknown([]byte{0xff}) // half of a field's number
		if err := stream.SendMsg(broken); err != nil {
			t.Fatal(err)
		}
		if err := stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
		err := stream.RecvMsg(&emptypb.Empty{})
		if st := status.Convert(err); st.Code() != codes.Internal || !strings.Contains(st.Message(), "unmarshal") {
			t.Errorf("%s: got %v, want gRPC's INTERNAL that says why", method, err)
		}
	}
	if n := logged.Load(); n > 0 {
		t.Errorf("%d lines are logged", n)
	}
}
