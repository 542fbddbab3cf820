package token

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	defaultRefresh = 15 * time.Minute

	// fetchTimeout bounds one fetch, from dialling to the last byte. A browser
	// may wait for it, well below the ping timeout.
	fetchTimeout = 5 * time.Second

	// usualFetch is what most fetches take at most. Nobody waits for one that is to begin so
	// late that its answer would hardly come in time: who comes back a little later waits
	// for the same fetch, and has its answer.
	usualFetch = time.Second

	// maxSet bounds a JWK Set in bytes, inflated: 64 keys of 8192 bits, with
	// their certificates, need less.
	maxSet = 1 << 20

	// minRequested lies between fetches that tokens request by naming an unknown
	// key: anybody can, so this is what they can cost the issuer. A fetch that is
	// requested earlier waits until then.
	minRequested = 10 * time.Second

	// After a failure the next attempt comes after retryFirst, later ones after
	// twice the time before, retryMost at most.
	retryFirst = time.Second
	retryMost  = time.Minute
)

// errUnavailable: whether the key exists cannot be known now.
var errUnavailable = errors.New("the JWK Set cannot be fetched now")

// keySet is the JWK Set at one URL. One goroutine, run, does all the fetching;
// verifiers read what it has, and may request a fetch ahead of time. When fetching
// fails the last good set stays.
//
// The library reads the keys and finds them. Its own fetching has no bound on an
// answer, no back-off, gives up a set for one key that it cannot read, takes an
// error in JSON for an empty set, and fetches once for each token with an unknown
// kid: this does not.
type keySet struct {
	// Immutable.
	url        string
	shown      string // it, as the log has it
	client     *http.Client
	algorithms []string
	refresh    time.Duration
	log        *slog.Logger
	requests   chan time.Time // when a fetch ahead of time is to begin; holds one

	mu       sync.Mutex
	keys     publishedKeys // nil: never fetched
	asOf     time.Time     // when the fetch was begun that brought keys
	failing  bool          // the last fetch failed
	begins   time.Time     // when the last fetch was begun, or the requested one will be
	fetching chan struct{} // closed when the fetch begun or requested has ended; nil: none
	running  bool
}

var _ keySource = (*keySet)(nil)

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
		url:   o.JWKS,
		shown: withoutSecrets(o.JWKS),
		client: &http.Client{
			Transport: t,
			// The URL is fixed, and so is who may say where keys are.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		algorithms: o.Algorithms,
		refresh:    o.Refresh,
		log:        o.Logger,
		requests:   make(chan time.Time, 1),
		fetching:   make(chan struct{}), // the first fetch, which run begins
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

// ready implements keySource: the set was fetched once.
func (s *keySet) ready() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys != nil
}

// find implements keySource. Whether there is no such key only a fetch can tell that
// was begun after the token came: the key may be newer than the set. Find waits for
// such a fetch; it returns errUnavailable if that fails, or would begin too late for ctx.
func (s *keySet) find(ctx context.Context, t *jwt.Token) (any, error) {
	came := time.Now()
	for { // the fetch in flight, if there is one, and the next
		key, err := s.lookup(t, came)
		if !errors.Is(err, errUnavailable) {
			return key, err
		}
		fetched := s.requestFetch(ctx)
		if fetched == nil {
			return nil, err
		}
		select {
		case <-fetched:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", errUnavailable, context.Cause(ctx))
		}
	}
}

// lookup finds the keys of a token that came then in the set as it is. errNoKey is
// returned only if the set is newer.
func (s *keySet) lookup(t *jwt.Token, came time.Time) (any, error) {
	s.mu.Lock()
	keys, asOf := s.keys, s.asOf
	s.mu.Unlock()
	if keys == nil {
		return nil, errUnavailable
	}
	key, err := keys.find(t)
	if errors.Is(err, errNoKey) && asOf.Before(came) {
		return nil, fmt.Errorf("%w: %w", errUnavailable, err)
	}
	return key, err
}

// requestFetch returns what is closed after the fetch to wait for: the one in
// flight, or the next, which it requests. Nil: there is none to wait for whose answer comes
// before ctx ends, or fetching fails, so that its own next attempt is soon enough.
func (s *keySet) requestFetch(ctx context.Context) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fetching == nil {
		now, allowed := time.Now(), s.begins.Add(minRequested)
		if !s.running || s.failing && now.Before(allowed) {
			return nil
		}
		s.begins = now
		if now.Before(allowed) {
			s.begins = allowed
		}
		s.fetching = make(chan struct{})
		s.requests <- s.begins // never blocks: there is one for each s.fetching
	}
	if deadline, ok := ctx.Deadline(); ok && time.Now().Before(s.begins) && deadline.Before(s.begins.Add(usualFetch)) {
		return nil
	}
	return s.fetching
}

// run fetches until ctx ends.
func (s *keySet) run(ctx context.Context) {
	defer s.stop()
	next := time.Now() // the first fetch begins at once
	timer := time.NewTimer(s.refresh)
	defer timer.Stop()
	for first, retry := true, retryFirst; first || s.await(ctx, timer, &next); first = false {
		s.begin()
		keys, used, err := s.fetch(ctx)
		if ctx.Err() != nil {
			return
		}
		s.store(keys, used, err)
		wait := s.refresh
		if err == nil {
			retry = retryFirst
		} else {
			wait = retry
			retry = min(2*retry, retryMost, s.refresh)
		}
		next = time.Now().Add(wait)
		timer.Reset(wait)
	}
}

// await waits until the next fetch is due, which requests may bring forward; false: ctx has
// ended.
func (s *keySet) await(ctx context.Context, timer *time.Timer, next *time.Time) bool {
	for {
		select {
		case <-ctx.Done():
			return false
		case requested := <-s.requests:
			if requested.Before(*next) {
				*next = requested
				timer.Reset(max(time.Until(requested), time.Nanosecond)) // not 0, for tests: golang/go#78156
			}
		case <-timer.C:
			return true
		}
	}
}

// begin marks a fetch as in flight, if nobody has requested it before.
func (s *keySet) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running, s.begins = true, time.Now()
	if s.fetching == nil {
		s.fetching = make(chan struct{})
		return
	}
	select { // requested while its timer ran out: one fetch serves both
	case <-s.requests:
	default:
	}
}

// store keeps what a fetch has brought, used keys of it, and lets those go on who
// wait for it.
func (s *keySet) store(keys publishedKeys, used int, err error) {
	s.mu.Lock()
	failed := s.failing
	s.failing = err != nil
	if err == nil {
		s.keys, s.asOf = keys, s.begins
	}
	none := s.keys == nil
	s.fetchedLocked()
	s.mu.Unlock()

	switch {
	case err != nil && none:
		s.log.Warn("refusing all tokens: the JWK Set cannot be fetched", "url", s.shown, "error", err)
	case err != nil:
		s.log.Warn("the JWK Set cannot be fetched: the last one stays in force", "url", s.shown, "error", err)
	case used == 0:
		s.log.Warn("refusing all tokens: the JWK Set holds no key to verify them with", "url", s.shown)
	case failed:
		s.log.Info("the JWK Set is back", "url", s.shown, "keys", used)
	default:
		s.log.Debug("fetched the JWK Set", "url", s.shown, "keys", used)
	}
}

// stop lets nobody wait any longer.
func (s *keySet) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = false
	s.failing = true
	s.fetchedLocked()
}

// fetchedLocked lets those go on who wait for a fetch.
func (s *keySet) fetchedLocked() {
	if s.fetching != nil {
		close(s.fetching)
		s.fetching = nil
	}
}

// withoutSecrets is a URL without user, parameters and fragment.
func withoutSecrets(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}

// fetch gets the set; used is how many keys of it tokens may be verified with.
func (s *keySet) fetch(ctx context.Context) (set publishedKeys, used int, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, fetchTimeout, fmt.Errorf("no answer within %v", fetchTimeout))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return nil, 0, err
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := s.client.Do(req)
	if err != nil {
		if of := (*url.Error)(nil); errors.As(err, &of) {
			err = of.Err // the log has the address beside it, without what lets in there
		}
		return nil, 0, cause(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, 0, fmt.Errorf("the answer is %s", resp.Status)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxSet+1))
	switch {
	case err != nil:
		return nil, 0, cause(ctx, err)
	case len(text) > maxSet:
		return nil, 0, fmt.Errorf("the answer has more than %d bytes", maxSet)
	}
	keys, skipped, err := parseSet(text)
	for _, why := range skipped {
		s.log.Debug("skipping a key of the JWK Set", "url", s.shown, "error", why)
	}
	if err != nil {
		return nil, 0, err
	}
	return publish(keys, s.algorithms)
}

// cause prefers the reason of a context's end to its consequences.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
