package backend

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"time"

	"google.golang.org/grpc"
	grpcbackoff "google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/direct"
)

// Options of [Dial]. The zero value is for a daemon on the same machine that
// asks for no key.
type Options struct {
	// Key is the daemon's control key. Without TLS whoever sees the traffic
	// sees it. Default: none.
	Key string

	// TLS is how to talk TLS; an empty config verifies the daemon by the
	// system's roots. Default: no TLS.
	TLS *tls.Config

	// Logger hears of lost connections, of handlers' errors and panics.
	// Default: slog.Default().
	Logger *slog.Logger

	// DialOptions are added to those of this package.
	DialOptions []grpc.DialOption
}

// maxMessage is the largest message that is taken from the daemon, in bytes:
// room for an event of a daemon whose max-payload, 1 MB by default, is set to
// the 256 MiB that it may be at most.
const maxMessage = 512 << 20

// Client is a connection to a daemon's control API, which comes back by itself
// when it is lost. Create it with [Dial].
type Client struct {
	conn     *grpc.ClientConn
	log      *slog.Logger
	emitter  fanoutv1.EmitterServiceClient
	registry fanoutv1.RegistryServiceClient
	events   fanoutv1.EventServiceClient

	maxRequest int // bytes that the daemon takes of one message, as it said to Dial; 0: not known, to a key that is not for all
}

// Dial connects to the control API at address, "host:port" or another gRPC
// target such as "unix:/path". It returns when the daemon has answered, and
// until ctx ends it tries again while none is there; a key that is not valid is
// an error at once.
func Dial(ctx context.Context, address string, o Options) (*Client, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	conn, err := grpc.NewClient(address, o.dialOptions()...)
	if err != nil {
		return nil, fmt.Errorf("backend: dialling %s: %w", address, err)
	}
	c := &Client{
		conn:     conn,
		log:      o.Logger,
		emitter:  fanoutv1.NewEmitterServiceClient(conn),
		registry: fanoutv1.NewRegistryServiceClient(conn),
		events:   fanoutv1.NewEventServiceClient(conn),
	}
	admin := fanoutv1.NewAdminServiceClient(conn)
	for b := (backoff{}); ; {
		info, err := admin.GetServerInfo(ctx, &fanoutv1.GetServerInfoRequest{})
		if err == nil || hasReason(err, "SCOPE_MISSING") || hasReason(err, "KEY_LIMITED") { // what a key is for does not matter here
			c.maxRequest = int(info.GetLimits().GetMaxRequestBytes())
			return c, nil
		}
		if passing(err) && ctx.Err() == nil {
			c.log.Warn("no daemon answers yet", "address", address, "error", status.Convert(err).Message())
			if b.wait(ctx, pause(err)) {
				continue
			}
		}
		_ = conn.Close() // nothing is open but a try to connect
		return nil, fmt.Errorf("backend: dialling %s: %w", address, err)
	}
}

// The level of the API that this package was written for. A daemon that has less refuses
// the calls, as UNIMPLEMENTED with the reason API_TOO_OLD: docs/backends.md, Versions.
const (
	levelHeader = "fanoutd-api-level"
	apiLevel    = "1"
)

func (o *Options) dialOptions() []grpc.DialOption {
	transport := insecure.NewCredentials()
	if o.TLS != nil {
		transport = credentials.NewTLS(o.TLS)
	}
	all := []grpc.DialOption{
		grpc.WithTransportCredentials(directCredentials{transport}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)),
		// gRPC's own pace, which grows to 2 minutes, is for the open internet.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           grpcbackoff.Config{BaseDelay: firstPause, Multiplier: 2, Jitter: 0.2, MaxDelay: longestPause},
			MinConnectTimeout: 10 * time.Second,
		}),
		// A peer that is gone without a word is noticed; the daemon allows a
		// ping every 10 s.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 20 * time.Second, Timeout: 10 * time.Second}),
		grpc.WithUserAgent("fanoutd-go"),
		grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, req, reply any, c *grpc.ClientConn, invoke grpc.UnaryInvoker, o ...grpc.CallOption) error {
			return invoke(metadata.AppendToOutgoingContext(ctx, levelHeader, apiLevel), method, req, reply, c, o...)
		}),
		grpc.WithChainStreamInterceptor(func(ctx context.Context, d *grpc.StreamDesc, c *grpc.ClientConn, method string, open grpc.Streamer, o ...grpc.CallOption) (grpc.ClientStream, error) {
			return open(metadata.AppendToOutgoingContext(ctx, levelHeader, apiLevel), d, c, method, o...)
		}),
	}
	if o.Key != "" {
		all = append(all, grpc.WithPerRPCCredentials(bearer(o.Key)))
	}
	return append(all, o.DialOptions...)
}

// directCredentials are those of connections that are read and written directly, which a backend that has one thing
// to do after the other gains most by: see package direct.
type directCredentials struct {
	credentials.TransportCredentials
}

// ClientHandshake implements credentials.TransportCredentials.
func (c directCredentials) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return c.TransportCredentials.ClientHandshake(ctx, authority, direct.Conn(raw))
}

// Clone implements credentials.TransportCredentials.
func (c directCredentials) Clone() credentials.TransportCredentials {
	return directCredentials{c.TransportCredentials.Clone()}
}

// Close ends the connection, and with it whatever still uses it.
func (c *Client) Close() error { return c.conn.Close() }

// GRPC returns the connection, for every call that has no helper here:
//
//	fanoutv1.NewRegistryServiceClient(client.GRPC()).ListConnections(…)
func (c *Client) GRPC() *grpc.ClientConn { return c.conn }

// bearer is a control key as gRPC sends it with each call.
type bearer string

var _ credentials.PerRPCCredentials = bearer("")

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

// RequireTransportSecurity is false: loopback and unix sockets need none.
func (b bearer) RequireTransportSecurity() bool { return false }
