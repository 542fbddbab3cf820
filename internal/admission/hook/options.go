package hook

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

// Defaults of [Options].
const (
	DefaultTimeout = 3 * time.Second
	// DefaultConcurrency lets 5,000 browsers that come back at once in within 20 s
	// if the backend takes a second for each. A call in flight costs little here.
	DefaultConcurrency = 256
)

// maxConcurrency is far more than a backend can be expected to take at once.
const maxConcurrency = 10_000

// Options are the settings of a [Client].
type Options struct {
	// Address is where the backend serves: host:port, or unix:/path. A name that
	// stands for several addresses is asked in turn. Required.
	Address string
	// TLS encrypts, and verifies the backend. Nil: nothing does, and what clients
	// send as auth, secrets included, can be read on the way.
	TLS *tls.Config
	// Key is sent with each call as a bearer key. Empty: none.
	Key string

	// Timeout bounds a call, and before it the wait for a slot. Default 3 s.
	Timeout time.Duration
	// Concurrency is how many calls may be in flight. Default 256.
	Concurrency int
	// Logger hears of calls that fail, but nothing of what they said. Default:
	// slog.Default().
	Logger *slog.Logger
}

// withDefaults returns o complete, or says what is wrong with it.
func (o Options) withDefaults() (Options, error) {
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Concurrency == 0 {
		o.Concurrency = DefaultConcurrency
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	switch {
	case o.Address == "":
		return o, errors.New("hook: no address is set")
	case o.Timeout < 0:
		return o, errors.New("hook: the timeout is negative")
	case o.Concurrency < 0 || o.Concurrency > maxConcurrency:
		return o, fmt.Errorf("hook: %d calls at once; allowed: 1 to %d", o.Concurrency, maxConcurrency)
	case strings.TrimSpace(o.Key) != o.Key:
		return o, errors.New("hook: the key has blanks around it")
	}
	return o, nil
}

// target is the address as gRPC's resolvers know it.
func (o Options) target() string {
	if strings.HasPrefix(o.Address, "unix:") {
		return o.Address
	}
	return "dns:///" + o.Address
}

// maxAnswer bounds an answer in bytes: as many rooms with names as long as
// allowed, and the rest.
const maxAnswer = 512 << 10

// dialOptions are how the backend is reached.
func (o Options) dialOptions() []grpc.DialOption {
	transport := insecure.NewCredentials()
	if o.TLS != nil {
		transport = credentials.NewTLS(o.TLS)
	}
	return []grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithUserAgent("fanoutd"),
		// How to call is not for DNS to say, and one decision is asked for once.
		grpc.WithDisableServiceConfig(),
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig":[{"round_robin":{}}]}`),
		grpc.WithDisableRetry(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer)),
		// A backend that is back is found within seconds; gRPC's default of up to
		// two minutes would refuse everybody meanwhile.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 200 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 3 * time.Second},
			MinConnectTimeout: 3 * time.Second,
		}),
		// Servers end connections that ping more often than every five minutes,
		// unless told otherwise. What counts is the timeout: on Linux it also
		// bounds how long a call may stay unacknowledged by the backend's host
		// (gRFC A18), so that one that vanished is noticed under load.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 6 * time.Minute, Timeout: 10 * time.Second}),
	}
}
