package test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	hookv1 "github.com/fanoutd/fanoutd/gen/fanout/hook/v1"
	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// tokenSecret signs the tokens of browsers.
const tokenSecret = "a-secret-as-long-as-its-hash-is-0123456789"

// token returns a token of the user, and counts what it is good for.
func (m *metricsTest) token(user string) string {
	secret, until, outcome := tokenSecret, time.Now().Add(time.Hour), "accepted"
	switch user {
	case "expired":
		until, outcome = time.Now().Add(-time.Hour), "token expired"
	case "forged":
		secret, outcome = strings.ToUpper(tokenSecret), "token invalid"
	case "missing":
		m.count("fanoutd_tokens_total", "outcome", "token missing")
		return ""
	}
	m.count("fanoutd_tokens_total", "outcome", outcome)
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"iss": "test", "aud": "test", "sub": user, "exp": jwt.NewNumericDate(until),
	}).SignedString([]byte(secret))
	if err != nil {
		m.Fatal(err)
	}
	return token
}

// countingHook is the hook, which counts its decisions.
type countingHook struct {
	hookv1.UnimplementedAuthorizerServiceServer
	*tally
}

// serveCountingHook serves the hook, and returns where.
func serveCountingHook(t *testing.T, c *tally) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	hookv1.RegisterAuthorizerServiceServer(s, countingHook{tally: c})
	var serving sync.WaitGroup
	serving.Go(func() { _ = s.Serve(l) }) // it ends with Stop
	t.Cleanup(func() { s.Stop(); serving.Wait() })
	return l.Addr().String()
}

// Authorize allows everybody but the user "unwelcome", and fails for the user "broken".
func (h countingHook) Authorize(_ context.Context, r *hookv1.AuthorizeRequest) (*hookv1.AuthorizeResponse, error) {
	switch r.GetUserId() {
	case "unwelcome":
		h.count("fanoutd_hook_decisions_total", "outcome", "refused")
		return &hookv1.AuthorizeResponse{Decision: &hookv1.AuthorizeResponse_Refuse_{Refuse: &hookv1.AuthorizeResponse_Refuse{}}}, nil
	case "broken":
		h.count("fanoutd_hook_decisions_total", "outcome", "failed")
		return nil, status.Error(codes.Internal, "broken")
	}
	h.count("fanoutd_hook_decisions_total", "outcome", "allowed")
	return &hookv1.AuthorizeResponse{Decision: &hookv1.AuthorizeResponse_Allow_{Allow: &hookv1.AuthorizeResponse_Allow{}}}, nil
}

// backend returns a connection to the control API with this key, which counts its calls.
func (m *metricsTest) backend(key string) *grpc.ClientConn {
	m.Helper()
	keyed := func(ctx context.Context) context.Context {
		if key == "" {
			return ctx
		}
		return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+key)
	}
	conn, err := grpc.NewClient(m.control,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithStatsHandler(connectionCounter{tally: m.tally, stranger: key == "" || key == strangersKey}),
		grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			err := invoke(keyed(ctx), method, req, reply, cc, opts...)
			m.called(method, err)
			m.count("fanoutd_control_call_duration_seconds_count", "method", method[1:])
			return err
		}),
		grpc.WithChainStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, begin grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			stream, err := begin(keyed(ctx), desc, cc, method, opts...)
			if err != nil {
				return nil, err
			}
			m.count("fanoutd_control_calls_in_flight", "method", method[1:])
			return &countingStream{ClientStream: stream, m: m, method: method}, nil
		}))
	if err != nil {
		m.Fatal(err)
	}
	m.Cleanup(func() { _ = conn.Close() })
	return conn
}

// connectionCounter counts the connections of a backend. The daemon closes those of strangers,
// who have no valid key, after a while; nobody else closes any before the test ends.
type connectionCounter struct {
	*tally
	stranger bool
}

var _ stats.Handler = connectionCounter{}

// HandleConn implements stats.Handler.
func (c connectionCounter) HandleConn(_ context.Context, s stats.ConnStats) {
	change := 1.0
	if _, ended := s.(*stats.ConnEnd); ended {
		change = -1
		if c.stranger {
			c.count("fanoutd_control_connections_closed_total", "reason", "no-call")
		}
	}
	c.add(change, "fanoutd_control_connections")
	if c.stranger {
		c.add(change, "fanoutd_control_connections_strangers")
	}
}

// TagConn implements stats.Handler.
func (connectionCounter) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context {
	return ctx
}

// TagRPC implements stats.Handler.
func (connectionCounter) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

// HandleRPC implements stats.Handler.
func (connectionCounter) HandleRPC(context.Context, stats.RPCStats) {}

// called counts the end of a call, and who was refused.
func (m *metricsTest) called(method string, err error) {
	m.count("fanoutd_control_calls_total", "code", status.Code(err).String(), "method", method[1:])
	if reason := errorReason(err); strings.HasPrefix(reason, "KEY_") || reason == "SCOPE_MISSING" {
		m.count("fanoutd_control_auth_failures_total", "reason", reason)
	}
}

// errorReason is the reason of the ErrorInfo of an error.
func errorReason(err error) string {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info.GetReason()
		}
	}
	return ""
}

// countingStream counts the end of a stream.
type countingStream struct {
	grpc.ClientStream
	m      *metricsTest
	method string
	once   sync.Once
}

// RecvMsg implements grpc.ClientStream.
func (s *countingStream) RecvMsg(to any) error {
	err := s.ClientStream.RecvMsg(to)
	if err != nil {
		s.once.Do(func() {
			s.m.add(-1, "fanoutd_control_calls_in_flight", "method", s.method[1:])
			if errors.Is(err, io.EOF) {
				s.m.called(s.method, nil)
			} else {
				s.m.called(s.method, err)
			}
		})
	}
	return err
}

// countingConsumer is one consumer, which settles what it is told to.
type countingConsumer struct {
	*metricsTest
	stream  fanoutv1.EventService_ConsumeClient
	sending sync.Mutex
	die     context.CancelFunc
	ended   chan struct{}
	seen    chan *fanoutv1.Event // what it has handled, as far as there is room
}

func (c *countingConsumer) send(request *fanoutv1.ConsumeRequest) error {
	c.sending.Lock()
	defer c.sending.Unlock()
	return c.stream.Send(request)
}

// leave ends the consumer once what it has handled is settled.
func (c *countingConsumer) leave() {
	c.Helper()
	if err := c.send(&fanoutv1.ConsumeRequest{Request: &fanoutv1.ConsumeRequest_Leave_{Leave: &fanoutv1.ConsumeRequest_Leave{}}}); err != nil {
		c.Error(err)
	}
	c.sending.Lock()
	_ = c.stream.CloseSend() // its end tells
	c.sending.Unlock()
	<-c.ended
}

// await waits until it has handled an event, and returns that.
func (c *countingConsumer) await(what string, match func(*fanoutv1.Event) bool) *fanoutv1.Event {
	c.Helper()
	for {
		select {
		case e := <-c.seen:
			if match(e) {
				return e
			}
		case <-c.ctx.Done():
			c.Fatalf("a consumer waited in vain for %s", what)
		}
	}
}

// settlement is what a consumer does with a delivery; nil: nothing.
type settlement func(e *fanoutv1.Event) *fanoutv1.ConsumeRequest

// acknowledge handles what comes; what asks for a reply is answered.
func acknowledge(e *fanoutv1.Event) *fanoutv1.ConsumeRequest {
	if e.GetReplyExpected() {
		return &fanoutv1.ConsumeRequest{Request: &fanoutv1.ConsumeRequest_Reply{Reply: &fanoutv1.ReplyRequest{DeliveryId: e.GetDeliveryId(), ArgsJson: `["done"]`}}}
	}
	return &fanoutv1.ConsumeRequest{Request: &fanoutv1.ConsumeRequest_Ack_{Ack: &fanoutv1.ConsumeRequest_Ack{DeliveryIds: []string{e.GetDeliveryId()}}}}
}

func leaveUnsettled(*fanoutv1.Event) *fanoutv1.ConsumeRequest { return nil }

// poisoned refuses poison, unless it is replayed.
func poisoned(e *fanoutv1.Event) *fanoutv1.ConsumeRequest {
	if e.GetEvent() != "poison" || e.GetReplayed() {
		return acknowledge(e)
	}
	return &fanoutv1.ConsumeRequest{Request: &fanoutv1.ConsumeRequest_Nack_{Nack: &fanoutv1.ConsumeRequest_Nack{DeliveryIds: []string{e.GetDeliveryId()}}}}
}

// decide decides on connections by their user.
func decide(e *fanoutv1.Event) *fanoutv1.ConsumeRequest {
	v := &fanoutv1.ConsumeRequest_Verdict{DeliveryId: e.GetDeliveryId()}
	switch e.GetUserId() {
	case "refused":
		v.Decision = &fanoutv1.ConsumeRequest_Verdict_Refuse_{Refuse: &fanoutv1.ConsumeRequest_Verdict_Refuse{}}
	case "undecided":
		return nil
	default:
		v.Decision = &fanoutv1.ConsumeRequest_Verdict_Allow_{Allow: &fanoutv1.ConsumeRequest_Verdict_Allow{}}
	}
	return &fanoutv1.ConsumeRequest{Request: &fanoutv1.ConsumeRequest_Verdict_{Verdict: v}}
}

// consume opens a consumer, which settles as it is told until the test ends or it leaves.
func (m *metricsTest) consume(conn *grpc.ClientConn, open *fanoutv1.ConsumeRequest_Open, settle settlement) *countingConsumer {
	m.Helper()
	ctx, cancel := context.WithCancel(m.ctx)
	m.Cleanup(cancel)
	stream, err := fanoutv1.NewEventServiceClient(conn).Consume(ctx)
	if err != nil {
		m.Fatal(err)
	}
	if err := stream.Send(&fanoutv1.ConsumeRequest{Request: &fanoutv1.ConsumeRequest_Open_{Open: open}}); err != nil {
		m.Fatal(err)
	}
	if res, err := stream.Recv(); err != nil || res.GetReady() == nil {
		m.Fatalf("a consumer was answered %v, %v", res, err)
	}
	c := &countingConsumer{metricsTest: m, stream: stream, die: cancel, ended: make(chan struct{}), seen: make(chan *fanoutv1.Event, 100)}
	group := open.GetGroup()
	m.count("fanoutd_group_consumers", "group", group)
	go func() {
		defer close(c.ended)
		defer m.add(-1, "fanoutd_group_consumers", "group", group)
		for {
			res, err := stream.Recv()
			if err != nil {
				return // it left
			}
			if r := res.GetRejected(); r != nil {
				m.Errorf("group %s: %v", group, r)
			}
			if p := res.GetPublished(); p != nil {
				c.answer(p)
			}
			for _, e := range res.GetEvents().GetEvents() {
				m.count("fanoutd_group_delivered_total", "group", group)
				if request := settle(e); request != nil && c.send(request) != nil {
					return // it left
				}
				select {
				case c.seen <- e:
				default:
				}
			}
		}
	}()
	return c
}
