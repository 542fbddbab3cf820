package test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// secrets are what no log may have, each with what it is.
type secrets struct {
	mu  sync.Mutex
	all map[string]string
}

// keep returns a secret, which is to be looked for.
func (s *secrets) keep(what, secret string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all[secret] = what
	return secret
}

// in returns what of them a log has.
func (s *secrets) in(log string) (found []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, secret := range slices.Sorted(maps.Keys(s.all)) {
		if i := strings.Index(log, secret); i >= 0 {
			line := log[strings.LastIndexByte(log[:i], '\n')+1:]
			line, _, _ = strings.Cut(line, "\n")
			found = append(found, fmt.Sprintf("%s, %q, in %s", s.all[secret], secret, line))
		}
	}
	return found
}

// TestLogSecrets has known secrets in every place where a daemon takes one, and whatever ids of
// sessions it makes; then it makes all kinds of mistakes. The log, at debug level, has none of
// them, and no attribute that docs/logging.md does not have.
func TestLogSecrets(t *testing.T) {
	path, err := filepath.Abs(binary(t.Context(), t))
	if err != nil {
		t.Fatal(err)
	}
	file := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	known := &secrets{all: map[string]string{}}
	mute := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "secret-of-the-answer", http.StatusInternalServerError)
	}))
	t.Cleanup(mute.Close)
	known.keep("an answer's body", "secret-of-the-answer")
	free := freeAddresses(t, 2)
	common := []string{"--log-level=debug", "--log-format=json", "--ping-interval=1s", "--ping-timeout=2s", "--upgrade-timeout=1s", "--max-payload=100000",
		"--recovery-window=1m", "--cookie=io", "--origins=https://page.example", "--trusted-proxies=127.0.0.1", "--hold-timeout=2s", "--verdict-timeout=1s", "--namespaces=/,/gate"}
	for _, daemon := range []struct {
		name, page string
		flags      []string
	}{
		{"tokens by a secret", "/readyz", []string{
			"--jwt-secret=" + known.keep("jwt-secret", tokenSecret), "--jwt-algorithms=HS256", "--jwt-issuer=test", "--jwt-audience=test", "--jwt-sources=auth,query,header",
			"--control-key=" + known.keep("control-key", controlKey),
		}},
		{"everything away", "/livez", []string{
			"--jwks-url=" + mute.URL + "/keys?k=" + known.keep("the parameter of jwks-url", "secret-of-the-url"), "--jwt-algorithms=EdDSA", "--jwt-issuer=test", "--jwt-audience=test",
			"--hook=" + free[0], "--hook-key=" + known.keep("hook-key", "the-secret-key-of-the-hook"),
			"--control-keys-file=" + file("keys", "- {name: full, key: "+known.keep("a key of control-keys-file", controlKey)+"}\n"),
			"--cluster-listen=127.0.0.1:0", "--cluster-peers=" + free[1], "--cluster-secret-file=" + file("secret", known.keep("cluster-secret", "the-secret-of-the-whole-cluster")),
			"--otlp-endpoint=http://" + free[0],
		}},
	} {
		t.Run(daemon.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), siegePatience)
			t.Cleanup(cancel)
			log := &syncBuffer{}
			s := &siege{T: t, ctx: ctx, daemon: launchDaemonLogging(ctx, t, log, log, path, daemon.page, slices.Concat(common, daemon.flags)...)}
			misuse(s, known)
			misuseControl(s, known)
			for _, signal := range []syscall.Signal{syscall.SIGHUP, syscall.SIGTERM} {
				if err := syscall.Kill(s.pid, signal); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.wait(ctx); err != nil {
				t.Error(err)
			}
			if n := strings.Count(log.String(), "\n"); n < 20 {
				t.Errorf("the log has %d lines:\n%s", n, log)
			}
			for _, found := range known.in(log.String()) {
				t.Errorf("the log has %s", found)
			}
			checkAttributes(t, log.String())
		})
	}
}

// misuse has browsers come with secrets, and do wrong what they can.
func misuse(s *siege, known *secrets) {
	s.Helper()
	m := &metricsTest{siege: s, tally: newTally()}
	tokens := map[string]string{"garbage": known.keep("a token", "secret-garbage-token")}
	for _, user := range []string{"somebody", "expired", "forged"} {
		tokens[user] = known.keep("a token", m.token(user))
	}
	header := http.Header{
		"Cookie":        {"session=" + known.keep("a cookie", "secret-of-the-cookie") + "; io=" + known.keep("a cookie", "secret-of-another-cookie")},
		"Authorization": {"Bearer " + known.keep("a header", "secret-of-the-header")},
		"Origin":        {"https://page.example"},
		"Referer":       {"https://page.example/?x=" + known.keep("a referrer", "secret-of-the-referrer")},
	}
	query := "&apikey=" + known.keep("a parameter", "secret-of-the-query")
	open := func() *polling {
		p := s.polling()
		p.header = header
		if err := p.open(query); err != nil {
			s.Fatal(err)
		}
		known.keep("the id of a session", p.sid)
		return p
	}
	secretEvent := known.keep("an event's data", "secret-of-the-event")
	// Each is what a session says after it has opened.
	for _, packets := range []string{
		`40{"token":"` + tokens["somebody"] + `","password":"` + known.keep("auth", "secret-of-the-auth") + `"}`,
		`40{"token":"` + tokens["expired"] + `"}`, `40{"token":"` + tokens["forged"] + `"}`, `40{"token":"` + tokens["garbage"] + `"}`,
		`40{"token":{"a":"` + tokens["garbage"] + `"}}`, `40{"token":"` + tokens["garbage"], `40/unknown,{"token":"` + tokens["somebody"] + `"}`,
		`40{"pid":"` + known.keep("a pid", "secret-pid-of-nobody") + `","offset":"x","token":"` + tokens["somebody"] + `"}`,
		`42["` + secretEvent + `"]`, `451-["x"]`, `4` + secretEvent, `9` + secretEvent, `bnot base64 ` + secretEvent, `42/gate,["` + secretEvent + `"]`,
	} {
		p := open()
		_ = p.post(packets) // what comes of it is in the log
	}
	p := open()
	_ = p.post(`40{"token":"` + tokens["somebody"] + `"}`)
	if answer, err := p.get(); err == nil {
		var connected struct{ SID, PID string }
		if json.Unmarshal([]byte(strings.TrimPrefix(answer, "40")), &connected) == nil && connected.PID != "" {
			known.keep("a pid", connected.PID)
		}
	}
	_ = p.post(`42["` + secretEvent + `","` + secretEvent + `"]`)
	_ = p.post("4" + strings.Repeat(secretEvent, 10_000))
	// Two polls at once, an upgrade that is none, another transport, another method.
	p = open()
	var polls sync.WaitGroup
	for range 2 {
		polls.Go(func() { _, _ = p.get() })
	}
	polls.Wait()
	p = open()
	if w, err := s.webSocket("&sid=" + p.sid + query); err == nil {
		_ = w.say("2" + secretEvent)
		_ = w.end()
	}
	_, _ = p.do("PUT", p.query()+query, nil)
	_, _ = p.do("GET", "EIO=4&transport=pigeon&sid="+p.sid+query, nil)
	_, _ = p.do("GET", "EIO=4&transport=polling&sid="+known.keep("the id of no session", "secret-id-of-nobody")+query+"&token="+tokens["somebody"], nil)
	_, _ = p.do("GET", "EIO=4&transport=polling"+query+"&token="+tokens["forged"], nil)
	p.header = http.Header{"Origin": {"https://elsewhere.example"}}
	_, _ = p.do("GET", "EIO=4&transport=polling"+query, nil)
	// WebSockets: the end of a session in several ways.
	for _, says := range []string{"", "40{\"token\":\"" + tokens["somebody"] + "\"}", "4" + secretEvent} {
		c := m.newClient()
		w, err := m.candidate(query)
		if err != nil {
			s.Fatal(err)
		}
		c.w = w
		answer, err := w.hear()
		if err != nil {
			s.Fatal(err)
		}
		sid, err := sessionID(answer)
		if err != nil {
			s.Fatal(err)
		}
		known.keep("the id of a session", sid)
		if says != "" {
			_ = w.say(says)
		}
		_ = w.end() // it answers no pings
	}
	for _, url := range []string{"/" + secretEvent, "/socket.io/" + secretEvent, "/socket.io/?" + secretEvent} {
		if res, err := http.Get("http://" + s.listen + url); err == nil {
			_ = res.Body.Close()
		}
	}
}

// misuseControl has backends come with secrets, and do wrong what they can.
func misuseControl(s *siege, known *secrets) {
	s.Helper()
	conn, err := grpc.NewClient(s.control, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		s.Fatal(err)
	}
	defer conn.Close()
	data := known.keep("what a backend sends", "secret-of-the-backend")
	for _, key := range []string{"Bearer " + known.keep("a wrong key", "a-wrong-key-that-is-a-secret"), "Basic " + known.keep("a wrong key", "c2VjcmV0LWtleQ=="), "Bearer " + controlKey} {
		ctx := metadata.AppendToOutgoingContext(s.ctx, "authorization", key, "x-api-key", known.keep("metadata", "secret-of-the-metadata"))
		emitter, registry := fanoutv1.NewEmitterServiceClient(conn), fanoutv1.NewRegistryServiceClient(conn)
		for _, req := range []*fanoutv1.EmitRequest{
			{To: everybody("/"), Event: "e", ArgsJson: `["` + data + `"]`},
			{To: everybody("/"), Event: "e", ArgsJson: `["` + data},
			{To: everybody("/"), Event: "connect", ArgsJson: `["` + data + `"]`},
			{To: everybody("/unknown"), Event: "e", ArgsJson: `["` + data + `"]`, IdempotencyKey: known.keep("an idempotency key", "secret-idempotency-key")},
		} {
			_, _ = emitter.Emit(ctx, req) // what comes of it is in the log
		}
		_, _ = registry.Disconnect(ctx, &fanoutv1.DisconnectRequest{To: everybody("/")})
		r, err := http.NewRequestWithContext(s.ctx, http.MethodPost, "http://"+s.control+"/fanout.v1.EmitterService/Emit?key="+known.keep("a parameter", "secret-of-the-control-query"), strings.NewReader(`{"args_json":"`+data))
		if err != nil {
			s.Fatal(err)
		}
		r.Header.Set("Authorization", key)
		r.Header.Set("Content-Type", "application/json")
		if res, err := http.DefaultClient.Do(r); err == nil {
			_ = res.Body.Close()
		}
	}
}

// checkAttributes reports attributes that docs/logging.md does not have.
func checkAttributes(t *testing.T, log string) {
	t.Helper()
	text, err := os.ReadFile("../docs/logging.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{"time": true, "level": true, "msg": true}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllSubmatch(text, -1) {
		documented[string(row[1])] = true
	}
	for lines := bufio.NewScanner(strings.NewReader(log)); lines.Scan(); {
		var line map[string]any
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Errorf("a line that is no JSON: %s", lines.Text())
		}
		for name := range line {
			if !documented[name] {
				t.Errorf("docs/logging.md does not have the attribute %s of %s", name, lines.Text())
			}
		}
	}
}
