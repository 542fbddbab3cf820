package webhook

import (
	"crypto/x509"
	"net/http"
	"reflect"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// What holds where an Endpoint says nothing else.
const (
	DefaultMaxInFlight = 16
	DefaultTimeout     = 10 * time.Second
)

// Bounds of what an Endpoint may say.
const (
	MaxMaxInFlight = 1000
	MinTimeout     = 100 * time.Millisecond
	MaxTimeout     = 10 * time.Minute
)

// Endpoint is where the events of one consumer go.
type Endpoint struct {
	// URL takes the events: http or https.
	URL string
	// Group is the group of consumers that the endpoint is one of.
	Group string
	// Namespaces, Events, Lifecycle and Authorize are as in ConsumeRequest.Open; Lifecycle
	// asks for RecoveryExpired too.
	Namespaces, Events   []string
	Lifecycle, Authorize bool
	// MaxInFlight bounds the requests under way. 0 means DefaultMaxInFlight.
	MaxInFlight int
	// Timeout bounds one request, from the first byte sent to the last of the answer.
	// 0 means DefaultTimeout.
	Timeout time.Duration
	// Secrets sign each request, each by a signature of its own; none: it is not signed.
	Secrets []*standardwebhooks.Webhook
	// Header is sent with every request, beside what the package itself sets.
	Header http.Header
	// CA may sign the endpoint's certificate, instead of the system's authorities.
	CA *x509.CertPool
}

func (e Endpoint) withDefaults() Endpoint {
	if e.MaxInFlight == 0 {
		e.MaxInFlight = DefaultMaxInFlight
	}
	if e.Timeout == 0 {
		e.Timeout = DefaultTimeout
	}
	return e
}

// key tells endpoints apart: two with one key are one consumer.
func (e *Endpoint) key() [2]string { return [2]string{e.Group, e.URL} }

// same reports whether nothing differs that a new consumer would be needed for.
func (e *Endpoint) same(o *Endpoint) bool {
	a, b := *e, *o
	pools := a.CA == b.CA || a.CA != nil && b.CA != nil && a.CA.Equal(b.CA)
	a.CA, b.CA = nil, nil
	return pools && reflect.DeepEqual(a, b)
}
