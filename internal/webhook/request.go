package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// typePrefix begins the types of events; the kind follows.
const typePrefix = "io.fanoutd.event."

// newClient returns what sends the requests of e. Redirects are not followed: where events
// go, settings say.
func newClient(e *Endpoint, dial func(ctx context.Context, network, address string) (net.Conn, error)) *http.Client {
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	return &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment,
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				ctx, cancel := context.WithTimeout(ctx, e.Timeout) // net/http goes on dialing when the request has ended
				defer cancel()
				return dial(ctx, network, address)
			},
			TLSClientConfig:       &tls.Config{RootCAs: e.CA, MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2:     true,
			MaxIdleConnsPerHost:   e.MaxInFlight,
			IdleConnTimeout:       90 * time.Second, // as net/http's own client
			TLSHandshakeTimeout:   e.Timeout,
			ResponseHeaderTimeout: e.Timeout,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// newRequest returns the request that brings an event, as of now.
func (e *Endpoint) newRequest(ctx context.Context, node string, event *fanoutv1.Event) (*http.Request, error) {
	body, err := protojson.Marshal(event)
	if err != nil {
		return nil, fmt.Errorf("webhook: an event has no JSON: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, e.URL, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("webhook: %w", err)
	}
	for name, values := range e.Header {
		r.Header[name] = values
	}
	id := event.GetDeliveryId()
	set := r.Header.Set
	set("Content-Type", "application/json")
	set("User-Agent", "fanoutd")
	set("Idempotency-Key", id) // net/http, too, repeats the request by it where a connection was closed just then
	set("Ce-Specversion", "1.0")
	set("Ce-Id", id)
	set("Ce-Type", typePrefix+strings.ToLower(event.GetKind().String()))
	set("Ce-Source", "/"+url.PathEscape(node)+"/"+url.PathEscape(event.GetNamespace()))
	set("Ce-Subject", event.GetConnectionId())
	set("Ce-Time", event.GetReceivedAt().AsTime().Format(time.RFC3339Nano))
	setTrace(ctx, r.Header)
	return r, e.sign(r.Header, id, body)
}

// sign signs the body, with each of the secrets.
func (e *Endpoint) sign(h http.Header, id string, body []byte) error {
	now := time.Now()
	h.Set("Webhook-Id", id)
	h.Set("Webhook-Timestamp", fmt.Sprint(now.Unix()))
	signatures := make([]string, len(e.Secrets))
	for i, secret := range e.Secrets {
		var err error
		if signatures[i], err = secret.Sign(id, now, body); err != nil {
			return fmt.Errorf("webhook: signing: %w", err)
		}
	}
	if len(signatures) > 0 {
		h.Set("Webhook-Signature", strings.Join(signatures, " "))
	}
	return nil
}
