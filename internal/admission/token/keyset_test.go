package token

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// site is the issuer's web site, in memory.
type site struct {
	mu     sync.Mutex
	answer func(*http.Request) (*http.Response, error)
	asked  atomic.Int64 // requests
}

func (s *site) RoundTrip(r *http.Request) (*http.Response, error) {
	s.asked.Add(1)
	s.mu.Lock()
	answer := s.answer
	s.mu.Unlock()
	return answer(r)
}

func (s *site) set(answer func(*http.Request) (*http.Response, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

func (s *site) publish(t testing.TB, keys ...object) { s.set(publishes(t, keys...)) }

func publishes(t testing.TB, keys ...object) func(*http.Request) (*http.Response, error) {
	return answers(200, setOf(t, keys...))
}

func answers(status int, body []byte) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: status, Status: fmt.Sprint(status, " ", http.StatusText(status)), Request: r,
			Header: http.Header{"Location": {"https://evil.example.com/"}}, Body: io.NopCloser(bytes.NewReader(body)),
		}, nil
	}
}

func down(*http.Request) (*http.Response, error) { return nil, errors.New("connection refused") }

func hangs(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

const setURL = "https://issuer.example.com/jwks.json"

func setOptions(url string) Options {
	o := options()
	o.Secret, o.JWKS, o.Algorithms = nil, url, []string{"RS256", "ES256", "EdDSA"}
	return o
}

// withSite runs f in fake time, with the Verifier of a set that answers so at first.
func withSite(t *testing.T, answer func(*http.Request) (*http.Response, error), f func(*testing.T, *Verifier, *site)) {
	synctest.Test(t, func(t *testing.T) {
		s := &site{answer: answer}
		o := setOptions(setURL)
		o.Transport = s
		tokens := newVerifier(t, o)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			tokens.Run(ctx)
		}()
		f(t, tokens, s)
		cancel()
		<-ended
	})
}

func signed(t testing.TB, key, kid string) string {
	alg := map[string]string{"rsa": "RS256", "rsa2": "RS256", "p256": "ES256", "ed25519": "EdDSA"}[key]
	return sign(t, alg, signers()[key], object{"kid": kid}, good(object{"exp": time.Now().Add(24 * time.Hour).Unix()}))
}

func TestSetIsDownAtFirst(t *testing.T) {
	withSite(t, down, func(t *testing.T, tokens *Verifier, s *site) {
		token := signed(t, "rsa", "1")
		refuses(t, tokens, token, Unavailable, "cannot be fetched") // waits for the first fetch
		time.Sleep(10 * time.Minute)
		refuses(t, tokens, token, Unavailable, "cannot be fetched")
		if n := s.asked.Load(); n < 10 || n > 20 { // about once a minute
			t.Errorf("fetched %d times in 10 minutes", n)
		}
		s.publish(t, jwkOf(t, "rsa", "1"))
		time.Sleep(retryMost)
		synctest.Wait()
		accepts(t, tokens, token)
	})
}

func TestFirstFetchIsAwaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &site{}
		s.publish(t, jwkOf(t, "rsa", "1"))
		o := setOptions(setURL)
		o.Transport = s
		tokens := newVerifier(t, o)
		token := signed(t, "rsa", "1")

		short, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		var e *Error
		if _, err := tokens.Verify(short, token); !errors.As(err, &e) || e.Code != Unavailable {
			t.Errorf("nobody fetches: got %v", err)
		}

		var waiting sync.WaitGroup
		waiting.Go(func() { accepts(t, tokens, token) })
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		waiting.Go(func() { tokens.Run(ctx) })
		synctest.Wait()
		if n := s.asked.Load(); n != 1 {
			t.Errorf("fetched %d times", n)
		}
		cancel()
		waiting.Wait()
	})
}

func TestRotation(t *testing.T) {
	withSite(t, publishes(t, jwkOf(t, "rsa", "old")), func(t *testing.T, tokens *Verifier, s *site) {
		old, next := signed(t, "rsa", "old"), signed(t, "p256", "new")
		accepts(t, tokens, old)
		refuses(t, tokens, next, Invalid, `no key with the kid "new"`)

		// A token signed with a key that appeared since is good at once.
		time.Sleep(minRequested)
		s.publish(t, jwkOf(t, "rsa", "old"), jwkOf(t, "p256", "new"))
		accepts(t, tokens, next)
		accepts(t, tokens, old)

		// A withdrawn one is good for one refresh interval at most.
		s.publish(t, jwkOf(t, "p256", "new"))
		time.Sleep(defaultRefresh)
		synctest.Wait()
		refuses(t, tokens, old, Invalid, `no key with the kid "old"`)
		accepts(t, tokens, next)

		// The issuer withdraws everything.
		s.publish(t)
		time.Sleep(defaultRefresh)
		synctest.Wait()
		refuses(t, tokens, next, Invalid, "no key")
	})
}

func TestReplacedKeyOfOneKid(t *testing.T) {
	withSite(t, publishes(t, jwkOf(t, "rsa", "k")), func(t *testing.T, tokens *Verifier, s *site) {
		accepts(t, tokens, signed(t, "rsa", "k"))
		s.publish(t, jwkOf(t, "rsa2", "k"))
		time.Sleep(defaultRefresh)
		synctest.Wait()
		refuses(t, tokens, signed(t, "rsa", "k"), Invalid, "signature is invalid")
		accepts(t, tokens, signed(t, "rsa2", "k"))
	})
}

// TestRotationAfterRequestedFetch: a token whose key appeared just after a fetch that
// another token had requested fails for now, and never for good: the next fetch
// decides, which comes when it may and not later.
func TestRotationAfterRequestedFetch(t *testing.T) {
	withSite(t, publishes(t, jwkOf(t, "rsa", "old")), func(t *testing.T, tokens *Verifier, s *site) {
		synctest.Wait()
		time.Sleep(minRequested)
		refuses(t, tokens, signed(t, "ed25519", "junk"), Invalid, `no key with the kid "junk"`)
		requested := time.Now()
		time.Sleep(time.Second)
		s.publish(t, jwkOf(t, "rsa", "old"), jwkOf(t, "p256", "new"))

		verify := func(token string) error {
			ctx, cancel := context.WithTimeout(t.Context(), fetchTimeout)
			defer cancel()
			_, err := tokens.Verify(ctx, token)
			return err
		}
		// Too early to wait for.
		for _, token := range []string{signed(t, "p256", "new"), signed(t, "ed25519", "junk")} {
			var e *Error
			if err := verify(token); !errors.As(err, &e) || e.Code != Unavailable {
				t.Errorf("just after a fetch: got %v", err)
			}
		}
		if waited := time.Since(requested); waited != time.Second {
			t.Errorf("waited until %v after the fetch", waited)
		}
		// Not too early.
		time.Sleep(minRequested - fetchTimeout)
		if err := verify(signed(t, "p256", "new")); err != nil {
			t.Error(err)
		}
		if waited := time.Since(requested); waited != minRequested {
			t.Errorf("fetched again after %v", waited)
		}
		refuses(t, tokens, signed(t, "ed25519", "junk"), Invalid, `no key with the kid "junk"`)
	})
}

// TestFetchInFlightDecidesNothing about a token that came after it had begun: the
// answer may be older than the token's key.
func TestFetchInFlightDecidesNothing(t *testing.T) {
	withSite(t, publishes(t, jwkOf(t, "rsa", "old")), func(t *testing.T, tokens *Verifier, s *site) {
		synctest.Wait()
		s.set(func(r *http.Request) (*http.Response, error) {
			resp, err := answers(200, setOf(t, jwkOf(t, "rsa", "old")))(r)
			s.publish(t, jwkOf(t, "rsa", "old"), jwkOf(t, "p256", "new"))
			time.Sleep(2 * time.Second)
			return resp, err
		})
		time.Sleep(defaultRefresh + time.Second)
		accepts(t, tokens, signed(t, "p256", "new"))
		if n := s.asked.Load(); n != 3 {
			t.Errorf("fetched %d times", n)
		}
	})
}

// TestClientThatComesBackIsDecided: a client with a token of an unknown key that is cut off,
// and comes back soon each time, is decided with the next fetch: it does not wait for one
// whose answer comes too late, and then for the next.
func TestClientThatComesBackIsDecided(t *testing.T) {
	withSite(t, publishes(t, jwkOf(t, "rsa", "k")), func(t *testing.T, tokens *Verifier, s *site) {
		time.Sleep(50 * time.Millisecond) // the set is older than all that comes
		s.set(func(r *http.Request) (*http.Response, error) {
			time.Sleep(100 * time.Millisecond)
			return answers(200, setOf(t, jwkOf(t, "rsa", "k")))(r)
		})
		unknown, begun := signed(t, "p256", "unknown"), time.Now()
		for time.Since(begun) < time.Minute {
			ctx, cancel := context.WithTimeout(t.Context(), fetchTimeout)
			_, err := tokens.Verify(ctx, unknown)
			cancel()
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v", err)
			}
			if e.Code != Unavailable {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		if took := time.Since(begun); took > minRequested+fetchTimeout {
			t.Errorf("decided after %v", took)
		}
	})
}

// TestUnknownKidsAreCheap: what everybody can send makes few fetches, and each is
// decided in the time that a decision has, or fails for now.
func TestUnknownKidsAreCheap(t *testing.T) {
	withSite(t, publishes(t, jwkOf(t, "rsa", "k")), func(t *testing.T, tokens *Verifier, s *site) {
		accepts(t, tokens, signed(t, "rsa", "k"))
		before := s.asked.Load()
		var deciding sync.WaitGroup
		var invalid, unavailable atomic.Int64
		for i := range 120 { // for a minute
			deciding.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), fetchTimeout)
				defer cancel()
				_, err := tokens.Verify(ctx, signed(t, "ed25519", fmt.Sprint(i)))
				var e *Error
				switch {
				case errors.As(err, &e) && e.Code == Invalid:
					invalid.Add(1)
				case errors.As(err, &e) && e.Code == Unavailable:
					unavailable.Add(1)
				default:
					t.Errorf("got %v", err)
				}
			})
			time.Sleep(500 * time.Millisecond)
		}
		deciding.Wait()
		if n := s.asked.Load() - before; n < 1 || n > int64(time.Minute/minRequested) {
			t.Errorf("made %d fetches", n)
		}
		if invalid.Load() < 50 || unavailable.Load() < 50 { // about half of them each
			t.Errorf("%d were invalid, and %d could not be verified", invalid.Load(), unavailable.Load())
		}
		accepts(t, tokens, signed(t, "rsa", "k"))
	})
}

func TestWaitersShareOneFetch(t *testing.T) {
	withSite(t, publishes(t, jwkOf(t, "rsa", "old")), func(t *testing.T, tokens *Verifier, s *site) {
		accepts(t, tokens, signed(t, "rsa", "old"))
		time.Sleep(minRequested)
		s.set(func(r *http.Request) (*http.Response, error) {
			time.Sleep(time.Second)
			return answers(200, setOf(t, jwkOf(t, "rsa", "old"), jwkOf(t, "p256", "new")))(r)
		})
		before := s.asked.Load()
		token := signed(t, "p256", "new")
		var waiting sync.WaitGroup
		for range 50 {
			waiting.Go(func() {
				if _, err := tokens.Verify(t.Context(), token); err != nil {
					t.Error(err)
				}
			})
		}
		// Who knows the key waits for nobody.
		synctest.Wait()
		begun := time.Now()
		accepts(t, tokens, signed(t, "rsa", "old"))
		if waited := time.Since(begun); waited > 0 {
			t.Errorf("waited %v", waited)
		}
		waiting.Wait()
		if n := s.asked.Load() - before; n != 1 {
			t.Errorf("fetched %d times", n)
		}
	})
}

// TestLastGoodSetStays, whatever is wrong with the answer.
func TestLastGoodSetStays(t *testing.T) {
	valid := setOf(t, jwkOf(t, "rsa", "k"), jwkOf(t, "p256", "new"))
	for name, answer := range map[string]func(*http.Request) (*http.Response, error){
		"down":             down,
		"hangs":            hangs,
		"500":              answers(500, valid),
		"not found":        answers(404, nil),
		"no content":       answers(204, nil),
		"redirect":         answers(302, valid),
		"too large":        answers(200, append(valid, bytes.Repeat([]byte(" "), maxSet)...)),
		"an error page":    answers(200, []byte("<html>maintenance</html>")),
		"an error in JSON": answers(200, []byte(`{"error":"maintenance"}`)),
		"cut off":          answers(200, valid[:len(valid)/2]),
		"body hangs": func(r *http.Request) (*http.Response, error) {
			resp, err := answers(200, nil)(r)
			resp.Body = io.NopCloser(hangingReader{r.Context()})
			return resp, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			withSite(t, publishes(t, jwkOf(t, "rsa", "k")), func(t *testing.T, tokens *Verifier, s *site) {
				token := signed(t, "rsa", "k")
				accepts(t, tokens, token)
				s.set(answer)
				time.Sleep(defaultRefresh)
				accepts(t, tokens, token) // also while it is being fetched
				time.Sleep(time.Hour)
				synctest.Wait()
				accepts(t, tokens, token)
				refuses(t, tokens, signed(t, "p256", "new"), Unavailable, "cannot be fetched")

				s.set(answers(200, valid))
				time.Sleep(2 * retryMost)
				accepts(t, tokens, signed(t, "p256", "new"))
			})
		})
	}
}

type hangingReader struct{ ctx context.Context }

func (r hangingReader) Read([]byte) (int, error) {
	<-r.ctx.Done()
	return 0, r.ctx.Err()
}

// TestHangingFetchHoldsNobody longer than its time limit, or than the caller's.
func TestHangingFetchHoldsNobody(t *testing.T) {
	withSite(t, hangs, func(t *testing.T, tokens *Verifier, _ *site) {
		begun := time.Now()
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errors.New("the browser left"))
		defer cancel()
		_, err := tokens.Verify(ctx, signed(t, "rsa", "k"))
		var e *Error
		if !errors.As(err, &e) || e.Code != Unavailable || !strings.Contains(err.Error(), "the browser left") {
			t.Errorf("got %v", err)
		}
		if waited := time.Since(begun); waited != time.Second {
			t.Errorf("waited %v", waited)
		}
		refuses(t, tokens, signed(t, "rsa", "k"), Unavailable, "cannot be fetched")
		if waited := time.Since(begun); waited != fetchTimeout {
			t.Errorf("waited %v", waited)
		}
	})
}

// TestKidCollisions: a kid may name keys for several algorithms. Of several for
// one algorithm, which should not be, the first counts.
func TestKidCollisions(t *testing.T) {
	set := publishes(t, jwkOf(t, "rsa", "k"), jwkOf(t, "rsa2", "k"), jwkOf(t, "p256", "k", object{"alg": "ES256"}),
		jwkOf(t, "ed25519", "k", object{"alg": "ES256"}))
	withSite(t, set, func(t *testing.T, tokens *Verifier, _ *site) {
		for _, key := range []string{"rsa", "p256"} {
			accepts(t, tokens, signed(t, key, "k"))
		}
		refuses(t, tokens, signed(t, "rsa2", "k"), Invalid, "signature is invalid")
		refuses(t, tokens, signed(t, "ed25519", "k"), Invalid, `no key with the kid "k" for EdDSA`)
	})
}

// TestNoKid: a token that names no key is tried with all that serve its algorithm,
// and with no other.
func TestNoKid(t *testing.T) {
	set := publishes(t, jwkOf(t, "rsa", "a"), jwkOf(t, "rsa2", ""), jwkOf(t, "p256", "b"))
	withSite(t, set, func(t *testing.T, tokens *Verifier, _ *site) {
		for alg, key := range map[string]string{"RS256": "rsa", "ES256": "p256"} {
			accepts(t, tokens, sign(t, alg, signers()[key], nil, good()))
		}
		accepts(t, tokens, sign(t, "RS256", signers()["rsa2"], nil, good()))
		refuses(t, tokens, sign(t, "EdDSA", signers()["ed25519"], nil, good()), Invalid, `no key with the kid "" for EdDSA`)
		refuses(t, tokens, signed(t, "rsa2", "b"), Invalid, `no key with the kid "b" for RS256`)
	})
}

// TestReady: whether a set was ever fetched can be told, and does not change when
// fetching fails later.
func TestReady(t *testing.T) {
	withSite(t, down, func(t *testing.T, tokens *Verifier, s *site) {
		synctest.Wait()
		if tokens.Stats().KeysReady {
			t.Error("ready without a set")
		}
		s.publish(t) // a set without keys is one
		time.Sleep(retryMost)
		synctest.Wait()
		if !tokens.Stats().KeysReady {
			t.Error("not ready with a set")
		}
		s.set(down)
		time.Sleep(2 * defaultRefresh)
		synctest.Wait()
		if !tokens.Stats().KeysReady {
			t.Error("not ready any more")
		}
	})
}

// TestSetOverHTTP goes the whole way, with the transport that the daemon uses.
func TestSetOverHTTP(t *testing.T) {
	set := setOf(t, jwkOf(t, "rsa", "k"))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.Path != "/jwks.json" || !strings.Contains(r.Header.Get("Accept"), "application/json") {
			http.Error(w, "unexpected", http.StatusBadRequest)
			return
		}
		if _, err := w.Write(set); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	tokens := newVerifier(t, setOptions(server.URL+"/jwks.json"))
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { tokens.Run(ctx) })
	accepts(t, tokens, signed(t, "rsa", "k"))
	cancel()
	running.Wait()
}

// TestSetAttacks are those that a public set invites.
func TestSetAttacks(t *testing.T) {
	set := setOf(t, jwkOf(t, "rsa", "k"), object{"kty": "oct", "kid": "k", "k": "c2VjcmV0"})
	withSite(t, answers(200, set), func(t *testing.T, tokens *Verifier, _ *site) {
		accepts(t, tokens, signed(t, "rsa", "k"))
		for _, secret := range [][]byte{publicPEM(t, "rsa"), set, []byte("secret"), {}} {
			refuses(t, tokens, sign(t, "HS256", secret, object{"kid": "k"}, good()), Invalid, "HS256 is invalid")
		}
		refuses(t, tokens, signed(t, "rsa2", "k"), Invalid, "signature is invalid")
		refuses(t, tokens, sign(t, "RS256", signers()["rsa2"], object{"kid": "k", "jku": "https://evil.example.com", "jwk": jwkOf(t, "rsa2", "k")}, good()), Invalid, "signature is invalid")
		refuses(t, tokens, signed(t, "rsa", "../k"), Invalid, "no key with the kid")
	})
}

func TestEndOfRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &site{answer: hangs}
		o := setOptions(setURL)
		o.Transport = s
		tokens := newVerifier(t, o)
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { tokens.Run(ctx) })
		running.Go(func() { refuses(t, tokens, signed(t, "rsa", "k"), Unavailable, "cannot be fetched") })
		synctest.Wait()
		cancel()
		running.Wait() // both, at once
		refuses(t, tokens, signed(t, "rsa", "k"), Unavailable, "cannot be fetched")
	})
}
