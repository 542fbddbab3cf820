package console

import (
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/control/identity"
	contract "github.com/fanoutd/fanoutd/proto"
)

// fakeAPI answers who called what; or it waits, as a stream does, for the end of the call, or of
// the caller's key.
type fakeAPI struct{ wait bool }

func (a fakeAPI) ServeAs(w http.ResponseWriter, r *http.Request, caller identity.Principal) {
	if a.wait {
		select {
		case <-r.Context().Done():
		case <-caller.Ended():
		}
		return
	}
	secrets := r.Header.Get("Cookie") + r.Header.Get("Authorization") + r.Header.Get("Origin")
	_, _ = io.WriteString(w, caller.Name+" "+r.URL.Path+secrets)
}

type fakeRefusals struct {
	mu  sync.Mutex
	all []string
}

func (f *fakeRefusals) Refused(_ context.Context, method string, _ net.Addr, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = append(f.all, method+": "+err.Error())
}

const (
	fullKey = "the key of somebody who may do everything"
	readKey = "the key of somebody who may read"
	roomKey = "the key of somebody with rooms"
)

// world is a console that asks for keys.
type world struct {
	http.Handler
	t       *testing.T
	callers *identity.Authenticator
	refused fakeRefusals
}

func newWorld(t *testing.T, change func(*Options)) *world {
	t.Helper()
	w := &world{t: t}
	keys := []identity.Key{
		{Name: "boss", Secret: fullKey},
		{Name: "reader", Secret: readKey, Rights: identity.Rights{Scopes: []identity.Scope{identity.Read}}},
		{Name: "roomy", Secret: roomKey, Rights: identity.Rights{Rooms: []string{"a"}, Namespaces: []string{"/shop"}}},
	}
	o := Options{
		Files: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "page") }), API: fakeAPI{},
		Metrics:  http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "metrics") }),
		History:  NewHistory(func() Figures { return Figures{Connections: 7} }),
		Refusals: &w.refused, Node: "n1", Version: "1.2.3", Control: "127.0.0.1:8081",
	}
	if change != nil {
		change(&o)
	}
	if o.Open {
		keys = nil
	}
	var err error
	if w.callers, err = identity.NewAuthenticator(keys, o.Open); err != nil {
		t.Fatal(err)
	}
	o.Callers = w.callers
	w.Handler = New(o)
	return w
}

// own is a request as the console's pages send it.
func own(method, path, body string, more ...string) *http.Request {
	r := httptest.NewRequest(method, "http://127.0.0.1:8082"+path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Fanoutd-Console", "1")
	r.Header.Set("Origin", "http://127.0.0.1:8082")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	for i := 0; i < len(more); i += 2 {
		if r.Header.Del(more[i]); more[i+1] != "" {
			r.Header.Set(more[i], more[i+1])
		}
	}
	return r
}

func (w *world) do(r *http.Request) *httptest.ResponseRecorder {
	to := httptest.NewRecorder()
	w.ServeHTTP(to, r)
	return to
}

// signIn returns the cookie, as requests have it.
func (w *world) signIn(key string, mode Mode) string {
	w.t.Helper()
	body, _ := json.Marshal(map[string]string{"key": key, "mode": string(mode)})
	to := w.do(own("POST", "/console/session", string(body)))
	cookies := to.Result().Cookies()
	if to.Code != 200 || len(cookies) != 1 {
		w.t.Fatalf("signing in: %d %s", to.Code, to.Body)
	}
	return cookies[0].Name + "=" + cookies[0].Value
}

const emit, list = "/console/api/fanout.v1.EmitterService/Emit", "/console/api/fanout.v1.RegistryService/ListRooms"

func TestWhoIsLetIn(t *testing.T) {
	w := newWorld(t, nil)
	full, view, read, room := w.signIn(fullKey, Act), w.signIn(fullKey, View), w.signIn(readKey, Act), w.signIn(roomKey, Act)
	for _, tt := range []struct {
		name   string
		r      *http.Request
		status int
		body   string // is in the answer
	}{
		{"a file, by anybody", own("GET", "/console/", "", "Fanoutd-Console", "", "Origin", "", "Sec-Fetch-Site", "cross-site"), 200, "page"},
		{"nobody", own("POST", emit, "{}"), 401, "sign in"},
		{"nobody's metrics", own("GET", "/console/api/metrics", ""), 401, "sign in"},
		{"a cookie that is none", own("POST", emit, "{}", "Cookie", "fanoutd-console-8082=x"), 401, "sign in"},
		{"who may act", own("POST", emit, "{}", "Cookie", full), 200, "boss /fanout.v1.EmitterService/Emit"},
		{"who looks only, looking", own("POST", list, "{}", "Cookie", view), 200, "boss /fanout.v1.RegistryService/ListRooms"},
		{"who looks only, acting", own("POST", emit, "{}", "Cookie", view), 403, "look only"},
		{"the scopes are the API's", own("POST", emit, "{}", "Cookie", read), 200, "reader"},
		{"metrics of who may read", own("GET", "/console/api/metrics", "", "Cookie", read), 200, "metrics"},
		{"history of who may read", own("GET", "/console/api/history", "", "Cookie", read), 200, `{"figures":[]}`},
		{"history of who has rooms", own("GET", "/console/api/history", "", "Cookie", room), 403, "roomy"},
		{"nobody's history", own("GET", "/console/api/history", ""), 401, "sign in"},
		{"history for another page", own("GET", "/console/api/history", "", "Cookie", read, "Sec-Fetch-Site", "same-site"), 403, "other sites"},
		{"metrics of who has rooms", own("GET", "/console/api/metrics", "", "Cookie", room), 403, "roomy"},
		{"another origin", own("POST", emit, "{}", "Cookie", full, "Origin", "http://127.0.0.1:3000"), 403, "127.0.0.1:3000"},
		{"no origin at all, but a site", own("POST", emit, "{}", "Cookie", full, "Origin", "", "Sec-Fetch-Site", "same-site"), 403, "other sites"},
		{"null", own("POST", emit, "{}", "Cookie", full, "Origin", "null"), 403, "null"},
		{"without the header", own("POST", emit, "{}", "Cookie", full, "Fanoutd-Console", ""), 403, "Fanoutd-Console"},
		{"an old browser, that tells nothing", own("POST", emit, "{}", "Cookie", full, "Origin", "", "Sec-Fetch-Site", ""), 200, "boss"},
		{"behind a proxy with TLS", own("POST", emit, "{}", "Cookie", full, "Origin", "https://127.0.0.1:8082"), 200, "boss"},
		{"a program with a key", own("POST", emit, "{}", "Authorization", "Bearer "+fullKey, "Fanoutd-Console", "", "Origin", "", "Sec-Fetch-Site", ""), 200, "boss"},
		{"a program with another", own("POST", emit, "{}", "Authorization", "Bearer x", "Fanoutd-Console", ""), 401, "not valid"},
		{"a password that browsers send by themselves", own("POST", emit, "{}", "Cookie", full, "Authorization", "Basic Ym9zczp4", "Fanoutd-Console", "", "Origin", "", "Sec-Fetch-Site", ""), 403, "Fanoutd-Console"},
		{"who has signed in, behind a proxy with a password", own("POST", emit, "{}", "Cookie", full, "Authorization", "Basic Ym9zczp4"), 200, "boss"},
		{"nobody, behind a proxy with a password", own("POST", emit, "{}", "Authorization", "Basic Ym9zczp4"), 401, "sign in"},
		{"a key and a password", func() *http.Request {
			r := own("POST", emit, "{}", "Authorization", "Bearer "+fullKey)
			r.Header.Add("Authorization", "Basic Ym9zczp4")
			return r
		}(), 401, "not valid"},
		{"a page of another origin with a key", own("POST", emit, "{}", "Authorization", "Bearer "+fullKey, "Origin", "http://evil.example"), 403, "evil.example"},
		{"signing in from another origin", own("POST", "/console/session", `{"key":"x","mode":"act"}`, "Origin", "http://evil.example"), 403, "evil.example"},
		{"signing in without the header", own("POST", "/console/session", `{"key":"x","mode":"act"}`, "Fanoutd-Console", ""), 403, "Fanoutd-Console"},
		{"signing in by a form", own("POST", "/console/session", `key=x`, "Content-Type", "application/x-www-form-urlencoded"), 415, "application/json"},
		{"signing in as nothing", own("POST", "/console/session", `{"key":"x","mode":"root"}`), 400, "must be"},
		{"signing in by too much", own("POST", "/console/session", `{"mode":"act","key":"`+strings.Repeat("x", 5000)+`"}`), 400, "must be"},
		{"another's session", own("DELETE", "/console/session", "", "Cookie", full, "Origin", "http://evil.example"), 403, "evil.example"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			to := w.do(tt.r)
			if to.Code != tt.status || !strings.Contains(to.Body.String(), tt.body) {
				t.Errorf("%d %s, want %d and %q", to.Code, to.Body, tt.status, tt.body)
			}
			if h := to.Header(); !strings.HasPrefix(h.Get("Content-Security-Policy"), "default-src 'none'") || h.Get("Referrer-Policy") != "no-referrer" || h.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("headers %v", h)
			}
			for _, secret := range []string{fullKey, full} {
				if strings.Contains(to.Body.String(), secret) {
					t.Errorf("a secret is in %s", to.Body)
				}
			}
		})
	}
}

// Each method of the API either changes nothing, or is refused to who looks only.
func TestViews(t *testing.T) {
	acts := map[string]bool{}
	rpc := regexp.MustCompile(`(?m)^  rpc (\w+)\(`)
	err := fs.WalkDir(contract.Files(), ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasPrefix(path, "fanout/v1/") {
			return err
		}
		text, err := fs.ReadFile(contract.Files(), path)
		for _, m := range rpc.FindAllSubmatch(text, -1) {
			if name := string(m[1]); !views("/service/" + name) {
				acts[name] = true
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range strings.FieldsSeq("Emit EmitBatch EmitStream EmitWithAck Call Batch Execute Join Leave Disconnect UpdateConnection UpdateConnections Block Unblock Consume Reply Publish Drain Rebalance DeleteGroup DisconnectConsumer ReplayDeadLetters DeleteDeadLetters") {
		if !acts[name] {
			t.Errorf("%s is taken for one that changes nothing, or is gone", name)
		}
		delete(acts, name)
	}
	for name := range acts {
		t.Errorf("%s: say here that it changes something, or have its name begin as those that do not", name)
	}
}

func TestCookie(t *testing.T) {
	w := newWorld(t, nil)
	body := `{"key":"` + fullKey + `","mode":"act"}`
	c := w.do(own("POST", "/console/session", body)).Result().Cookies()[0]
	if c.Name != "fanoutd-console-8082" || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/console/" || c.Secure || c.MaxAge <= 0 || len(c.Value) < 40 {
		t.Errorf("the cookie is %+v", c)
	}
	if c := w.do(own("POST", "/console/session", body, "Origin", "https://127.0.0.1:8082")).Result().Cookies()[0]; !c.Secure {
		t.Error("the cookie of a browser that came by TLS is sent without")
	}
	var told state
	cookie := c.Name + "=" + c.Value
	if err := json.Unmarshal(w.do(own("GET", "/console/session", "", "Cookie", cookie)).Body.Bytes(), &told); err != nil || !told.SignedIn || told.Name != "boss" || told.Mode != Act || len(told.Scopes) != len(identity.Scopes()) {
		t.Errorf("told %+v, %v", told, err)
	}
	if got := w.do(own("GET", "/console/session", "")).Body.String(); got != "{\"signedIn\":false,\"open\":false}\n" {
		t.Errorf("nobody is told %s", got)
	}
	w.do(own("DELETE", "/console/session", "", "Cookie", cookie))
	if to := w.do(own("POST", emit, "{}", "Cookie", cookie)); to.Code != 401 {
		t.Errorf("signed out, and answered %d", to.Code)
	}
}

func TestSessionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *Options) { o.API = fakeAPI{wait: true} })
		look := func(cookie string) bool {
			return strings.Contains(w.do(own("GET", "/console/session", "", "Cookie", cookie)).Body.String(), "boss")
		}
		idle, busy, out := w.signIn(fullKey, Act), w.signIn(fullKey, Act), w.signIn(fullKey, Act)
		ended := make(chan time.Duration, 1)
		start := time.Now()
		go func() {
			w.do(own("POST", emit, "{}", "Cookie", out))
			ended <- time.Since(start)
		}()
		time.Sleep(time.Minute)
		w.do(own("DELETE", "/console/session", "", "Cookie", out))
		if after := <-ended; after != time.Minute {
			t.Errorf("a stream ended %v after its beginning, signed out after a minute", after)
		}
		for range 12 {
			time.Sleep(58 * time.Minute)
			if !look(busy) {
				t.Fatalf("ended after %v, in use", time.Since(start))
			}
		}
		if look(idle) {
			t.Error("is there, not used for hours")
		}
		time.Sleep(30 * time.Minute)
		if look(busy) {
			t.Error("is there after more than 12 hours")
		}

		rotated := w.signIn(fullKey, Act)
		if _, err := w.callers.Replace([]identity.Key{{Name: "boss", Secret: fullKey + " anew"}}); err != nil {
			t.Fatal(err)
		}
		if look(rotated) {
			t.Error("is there, and its key is not")
		}
	})
}

// Who signs in again and again ends his own sessions, and not those of others.
func TestNobodyCrowdsOutOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *Options) { o.Logger = slog.New(slog.DiscardHandler) })
		boss := w.signIn(fullKey, Act)
		time.Sleep(time.Millisecond)
		first := w.signIn(readKey, View)
		for range maxSessions {
			time.Sleep(time.Millisecond)
			w.signIn(readKey, View)
		}
		for cookie, want := range map[string]int{boss: 200, first: 401} {
			if to := w.do(own("POST", list, "{}", "Cookie", cookie)); to.Code != want {
				t.Errorf("%d %s, want %d", to.Code, to.Body, want)
			}
		}
	})
}

// A stream lasts no longer than the session that it began in, however that ends.
func TestStreamsEndWithTheirSession(t *testing.T) {
	for _, tt := range []struct {
		name string
		use  func(w *world, cookie string) // after the stream has begun
		want time.Duration                 // of the stream
	}{
		{"signed out", func(w *world, cookie string) {
			time.Sleep(time.Minute)
			w.do(own("DELETE", "/console/session", "", "Cookie", cookie))
		}, time.Minute},
		{"nothing else is asked for", func(*world, string) {}, sessionTime}, // as of a page that shows what it hears
		{"used all the time", func(w *world, cookie string) {
			for range 20 {
				time.Sleep(40 * time.Minute)
				w.do(own("GET", "/console/session", "", "Cookie", cookie))
			}
		}, sessionTime},
		{"signed in anew", func(w *world, cookie string) {
			time.Sleep(time.Minute)
			w.do(own("POST", "/console/session", `{"key":"`+readKey+`","mode":"view"}`, "Cookie", cookie))
		}, time.Minute},
		{"one of too many", func(w *world, _ string) {
			for range maxSessions { // which hear something too
				time.Sleep(time.Second)
				other := w.signIn(fullKey, View)
				go w.do(own("POST", "/console/api/fanout.v1.EventService/Tail", "{}", "Cookie", other))
				synctest.Wait()
			}
		}, maxSessions * time.Second},
		{"its key replaced", func(w *world, _ string) {
			time.Sleep(time.Minute)
			if _, err := w.callers.Replace([]identity.Key{{Name: "boss", Secret: fullKey + " anew"}}); err != nil {
				t.Error(err)
			}
		}, time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, func(o *Options) { o.API, o.Logger = fakeAPI{wait: true}, slog.New(slog.DiscardHandler) })
				cookie, start := w.signIn(fullKey, Act), time.Now()
				ended := make(chan time.Duration, 1)
				go func() {
					w.do(own("POST", "/console/api/fanout.v1.EventService/Tail", "{}", "Cookie", cookie))
					ended <- time.Since(start)
				}()
				synctest.Wait()
				tt.use(w, cookie)
				if got := <-ended; got != tt.want {
					t.Errorf("ended after %v, want %v", got, tt.want)
				}
				if to := w.do(own("POST", list, "{}", "Cookie", cookie)); to.Code != 401 {
					t.Errorf("what comes then: %d", to.Code)
				}
				time.Sleep(sessionTime) // until the streams of others have ended
			})
		})
	}
}

// A session is in use while a call of it is under way: the time without use begins when that ends, and who signs in takes
// the place of another.
func TestSessionsInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all sessions
		caller := identity.Unlimited("boss")
		of := func(token string) *session {
			s, _ := all.of(own("GET", "/console/session", "", "Cookie", "fanoutd-console-8082="+token))
			return s
		}
		token := all.add(caller, Act)
		s := of(token)
		end := all.begin(s)
		for range maxSessions {
			time.Sleep(time.Millisecond)
			all.add(caller, Act)
		}
		time.Sleep(sessionTime - 2*idleTime)
		all.mu.Lock()
		if len(all.all) != 1 {
			t.Errorf("%d sessions, of which one is in use", len(all.all))
		}
		all.mu.Unlock()
		end()
		time.Sleep(idleTime - time.Minute)
		select {
		case <-s.lasts.Done():
			t.Error("it ended before the time without use was over")
		default:
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		select {
		case <-s.lasts.Done():
		default:
			t.Error("it lasts, and is not used")
		}
	})
}

func TestSessionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all sessions
		caller := identity.Unlimited("boss")
		first := all.add(caller, Act)
		for range maxSessions {
			time.Sleep(time.Millisecond)
			all.add(caller, Act)
		}
		if len(all.all) != maxSessions {
			t.Errorf("%d sessions", len(all.all))
		}
		if _, ok := all.of(own("GET", "/console/session", "", "Cookie", "fanoutd-console-8082="+first)); ok {
			t.Error("the oldest is there")
		}
		time.Sleep(2 * idleTime)
		all.mu.Lock()
		defer all.mu.Unlock()
		if len(all.all) != 0 {
			t.Errorf("%d sessions, all unused", len(all.all))
		}
	})
}

func TestGuessing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		var wrong sync.WaitGroup
		start := time.Now()
		for range maxAttempts {
			wrong.Go(func() {
				if to := w.do(own("POST", "/console/session", `{"key":"x","mode":"act"}`)); to.Code != 401 {
					t.Errorf("a wrong key: %d", to.Code)
				}
			})
		}
		synctest.Wait()
		if to := w.do(own("POST", "/console/session", `{"key":"x","mode":"act"}`)); to.Code != 429 || to.Header().Get("Retry-After") == "" {
			t.Errorf("one too many: %d", to.Code)
		}
		w.signIn(fullKey, Act) // who has a key is not kept out by those who guess
		if waited := time.Since(start); waited != 0 {
			t.Errorf("who has a key waited %v", waited)
		}
		wrong.Wait()
		if time.Since(start) < attemptTime {
			t.Error("wrong keys are told at once")
		}
		if len(w.refused.all) != maxAttempts+1 {
			t.Errorf("refused %q", w.refused.all)
		}
	})
}

func TestOpen(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Open, o.Hosts = true, []string{"fanoutd.internal"} })
	for _, tt := range []struct {
		name, host, path string
		more             []string
		status           int
	}{
		{"an address", "127.0.0.1:8082", emit, nil, 200},
		{"localhost", "localhost:8082", emit, []string{"Origin", "http://localhost:8082"}, 200},
		{"a name that is set", "fanoutd.internal:8082", emit, []string{"Origin", "http://fanoutd.internal:8082"}, 200},
		{"a page's own name that leads here", "evil.example:8082", emit, []string{"Origin", "http://evil.example:8082"}, 403},
		{"its files too", "evil.example:8082", "/console/", nil, 403},
		{"another page of this machine", "localhost:8082", emit, []string{"Origin", "http://localhost:3000"}, 403},
		{"a form of a page", "localhost:8082", emit, []string{"Origin", "", "Sec-Fetch-Site", "", "Fanoutd-Console", ""}, 403},
		{"a page that has a password sent", "localhost:8082", emit, []string{"Origin", "", "Sec-Fetch-Site", "", "Fanoutd-Console", "", "Authorization", "Basic eDp4"}, 403},
		{"behind a proxy with a password", "localhost:8082", emit, []string{"Origin", "http://localhost:8082", "Authorization", "Basic eDp4"}, 200},
		{"metrics", "127.0.0.1:8082", "/console/api/metrics", nil, 200},
	} {
		method := "POST"
		if tt.path != emit {
			method = "GET"
		}
		r := own(method, tt.path, "{}", tt.more...)
		r.Host = tt.host
		if to := w.do(r); to.Code != tt.status {
			t.Errorf("%s: %d %s, want %d", tt.name, to.Code, to.Body, tt.status)
		}
	}
	if got := w.do(own("GET", "/console/session", "")).Body.String(); !strings.Contains(got, `"signedIn":true,"open":true`) {
		t.Errorf("told %s", got)
	}
	if to := w.do(own("POST", "/console/session", `{"key":"x","mode":"act"}`)); to.Code != 400 {
		t.Errorf("signing in where no key is asked for: %d", to.Code)
	}
}

func TestOff(t *testing.T) {
	to := httptest.NewRecorder()
	Off("it is off").ServeHTTP(to, own("GET", "/console/", ""))
	if to.Code != 404 || !strings.Contains(to.Body.String(), "it is off") {
		t.Errorf("%d %s", to.Code, to.Body)
	}
}
