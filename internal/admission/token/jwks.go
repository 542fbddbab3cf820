package token

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

const (
	defaultRefresh = 15 * time.Minute

	// fetchTimeout bounds one fetch, from dialling to the last byte. A browser
	// may wait for it, well below the ping timeout.
	fetchTimeout = 5 * time.Second

	// maxSet bounds a JWK Set in bytes, inflated: 64 keys of 8192 bits, with
	// their certificates, need less.
	maxSet = 1 << 20

	// minAsked lies between fetches that tokens ask for by naming an unknown
	// key: anybody can, so this is what they can cost the issuer.
	minAsked = 10 * time.Second

	// After a failure the next attempt comes after retryFirst, later ones after
	// twice the time before, retryMost at most.
	retryFirst = time.Second
	retryMost  = time.Minute
)

// errUnavailable: whether the key exists cannot be known now.
var errUnavailable = errors.New("the JWK Set cannot be fetched")

// keySet is the JWK Set at one URL. One goroutine, run, does all the fetching;
// verifiers read what it has, and may ask it to fetch ahead of time. When
// fetching fails the last good set stays.
type keySet struct {
	// Fixed at birth.
	url     string
	client  *http.Client
	refresh time.Duration
	log     *slog.Logger
	wake    chan struct{} // a token asks for a fetch; holds one

	mu      sync.Mutex
	keys    map[string][]key // by kid; replaced, never changed; nil: never fetched
	failing bool             // the last fetch failed
	begun   time.Time        // when the last fetch was begun or asked for
	flight  chan struct{}    // closed when the fetch begun or asked for has ended; nil: none
	running bool
}

var _ source = (*keySet)(nil)

func newKeySet(o Options) *keySet {
	t := o.Transport
	if t == nil {
		t = &http.Transport{
			Proxy: http.ProxyFromEnvironment,
			// Fetches are too far apart for a connection to be worth keeping.
			DisableKeepAlives:      true,
			ForceAttemptHTTP2:      true,
			MaxResponseHeaderBytes: 64 << 10,
		}
	}
	return &keySet{
		url: o.JWKS,
		client: &http.Client{
			Transport: t,
			// The URL is fixed, and so is who may say where keys are.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		refresh: o.Refresh,
		log:     o.Logger,
		wake:    make(chan struct{}, 1),
		flight:  make(chan struct{}), // the first fetch, which run begins
	}
}

func (s *keySet) check(alg string) error {
	switch {
	case method(alg) == nil:
		return errUnknownAlgorithm
	case isSymmetric(alg):
		return errors.New("a JWK Set holds public keys, which are no secrets for HMAC")
	}
	return nil
}

// find implements source. For a kid that is not in the set it asks for a fetch,
// unless the last one is too recent, and waits for it.
func (s *keySet) find(ctx context.Context, kid string) ([]key, error) {
	if keys, _ := s.look(kid); len(keys) > 0 {
		return keys, nil
	}
	if flight := s.ask(); flight != nil {
		select {
		case <-flight:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w in time: %w", errUnavailable, context.Cause(ctx))
		}
	}
	return s.look(kid)
}

// look returns the keys with this kid; none and no error if the set is fresh
// and holds none.
func (s *keySet) look(kid string) ([]key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys := s.keys[kid]
	if len(keys) == 0 && (s.keys == nil || s.failing) {
		return nil, errUnavailable
	}
	return keys, nil
}

// ask returns the fetch to wait for: the one under way, or one that it asks
// for. Nil: there is none and it is too early for another.
func (s *keySet) ask() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flight != nil {
		return s.flight
	}
	if !s.running || time.Since(s.begun) < minAsked {
		return nil
	}
	s.flight, s.begun = make(chan struct{}), time.Now()
	s.wake <- struct{}{} // never blocks: there is one for each flight
	return s.flight
}

// run fetches until ctx ends.
func (s *keySet) run(ctx context.Context) {
	defer s.end()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for retry := retryFirst; ; {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-s.wake:
		}
		s.begin()
		keys, err := s.fetch(ctx)
		if ctx.Err() != nil {
			return
		}
		s.settle(keys, err)
		if err == nil {
			retry = retryFirst
			timer.Reset(s.refresh)
			continue
		}
		timer.Reset(retry)
		retry = min(2*retry, retryMost, s.refresh)
	}
}

// begin marks a fetch as under way, if nobody has asked for it before.
func (s *keySet) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running, s.begun = true, time.Now()
	if s.flight == nil {
		s.flight = make(chan struct{})
		return
	}
	select { // asked for while its timer ran out: one fetch serves both
	case <-s.wake:
	default:
	}
}

// settle notes what a fetch has brought and lets the waiting go on.
func (s *keySet) settle(keys []key, err error) {
	s.mu.Lock()
	failed := s.failing
	s.failing = err != nil
	if err == nil {
		s.keys = make(map[string][]key, len(keys))
		for _, k := range keys {
			s.keys[k.id] = append(s.keys[k.id], k)
		}
	}
	none := s.keys == nil
	s.landLocked()
	s.mu.Unlock()

	switch {
	case err != nil && none:
		s.log.Warn("refusing all tokens: the JWK Set cannot be fetched", "url", s.url, "error", err)
	case err != nil:
		s.log.Warn("the JWK Set cannot be fetched: the last one stays in force", "url", s.url, "error", err)
	case len(keys) == 0:
		s.log.Warn("refusing all tokens: the JWK Set holds no key to verify them with", "url", s.url)
	case failed:
		s.log.Info("the JWK Set is back", "url", s.url, "keys", len(keys))
	default:
		s.log.Debug("fetched the JWK Set", "url", s.url, "keys", len(keys))
	}
}

// end lets nobody wait any longer.
func (s *keySet) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = false
	s.failing = true
	s.landLocked()
}

func (s *keySet) landLocked() {
	if s.flight != nil {
		close(s.flight)
		s.flight = nil
	}
}

// fetch gets the set.
func (s *keySet) fetch(ctx context.Context) ([]key, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, fetchTimeout, fmt.Errorf("no answer within %v", fetchTimeout))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, cause(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the answer is %s", resp.Status)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxSet+1))
	switch {
	case err != nil:
		return nil, cause(ctx, err)
	case len(text) > maxSet:
		return nil, fmt.Errorf("the answer has more than %d bytes", maxSet)
	}
	keys, skipped, err := parseSet(text)
	for _, why := range skipped {
		s.log.Debug("skipping a key of the JWK Set", "url", s.url, "error", why)
	}
	return keys, err
}

// cause prefers the reason of a context's end to its consequences.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
