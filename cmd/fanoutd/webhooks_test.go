package main

import (
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// Where an endpoint decides who may connect, nobody gets in unasked, though it has not joined
// its group yet: neither before the daemon serves, nor after new settings.
func TestWebhooksAuthorizeAtOnce(t *testing.T) {
	args := []string{"--listen=127.0.0.1:0", "--control-listen=127.0.0.1:0", "--ops-listen=127.0.0.1:0", "--webhook-url=http://127.0.0.1:1", "--webhook-authorize"}
	c, err := load(append(args, "--webhook-group=first", "--namespaces=/,/chat", "--webhook-namespaces=chat"), nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := bind(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	log := slog.New(slog.DiscardHandler)
	d, err := newDaemon(c, log, newLogWriter(io.Discard, "json"), l, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(d.consumers.Authorized()); got != "map[first:[/chat]]" {
		t.Errorf("before it serves the groups authorise %s", got)
	}
	next, err := load(append(args, "--webhook-group=second"), nil)
	if err != nil {
		t.Fatal(err)
	}
	d.webhooks = d.newWebhooks() // in place of the one whose endpoints would join by themselves
	if err := d.webhooks.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := d.replaceWebhooks(next); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(d.consumers.Authorized()); got != "map[first:[/chat] second:[*]]" {
		t.Errorf("with new settings the groups authorise %s", got)
	}
}

// A running daemon calls the webhooks that its files name, with the secrets that are in
// them by now, and says in its metrics how that went.
func TestWebhooksOfADaemon(t *testing.T) {
	const next = "bmV4dG5leHRuZXh0bmV4dG5leHRuZXh0bmV4dG5leHQ="
	verifiers := map[string]*standardwebhooks.Webhook{}
	for _, secret := range []string{goodSecret, next} {
		key, err := base64.StdEncoding.DecodeString(secret)
		if err != nil {
			t.Fatal(err)
		}
		verifiers[secret], _ = standardwebhooks.NewWebhookRaw(key)
	}
	var signedBy atomic.Value
	signedBy.Store("")
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		by := r.URL.Path
		for _, secret := range []string{goodSecret, next} {
			if verifiers[secret].Verify(body, r.Header) == nil {
				by += " " + secret
			}
		}
		signedBy.Store(by)
		io.WriteString(w, `{"operations":[{"emit":{"to":{"all":true},"event":"heard"}}],"reply":{"args":["`+by+`"]}}`)
	}))
	defer endpoint.Close()
	dir := t.TempDir()
	secret := writeAt(t, dir, "secret", goodSecret)
	list := func(path string) string {
		return "- {url: \"" + endpoint.URL + path + "\", group: g, secret-file: " + secret + "}\n"
	}
	file := writeAt(t, dir, "webhooks.yaml", list("/one"))
	d := start(t, "--webhooks-file="+file)
	ws := connect(t, d.at["browsers"])
	ask := func() string {
		t.Helper()
		if err := ws.WriteMessage(1, []byte(`427["ask"]`)); err != nil {
			t.Fatal(err)
		}
		var heard []string
		for {
			_, m, err := ws.ReadMessage()
			if err != nil {
				t.Fatal(err)
			}
			heard = append(heard, string(m))
			if strings.HasPrefix(string(m), "43") {
				return strings.Join(heard, " ")
			}
		}
	}
	await := func(what string, done func() bool) {
		t.Helper()
		for start := time.Now(); !done(); time.Sleep(50 * time.Millisecond) {
			if time.Since(start) > patience {
				t.Fatalf("no %s:\n%s", what, d.logs)
			}
		}
	}
	if got, want := ask(), `42["heard"] 437["/one `+goodSecret+`"]`; got != want {
		t.Errorf("the browser heard %s, want %s", got, want)
	}
	writeAt(t, dir, "secret", next+"\n"+goodSecret)
	await("a request signed by both", func() bool { ask(); return signedBy.Load() == "/one "+goodSecret+" "+next })
	writeAt(t, dir, "secret", "no secret")
	d.logs.await(t, "a file of them is no good")
	if got := ask(); !strings.Contains(got, "/one "+goodSecret+" "+next) {
		t.Errorf("with a bad file it is signed as %s", got)
	}
	writeAt(t, dir, "secret", next)
	writeAt(t, dir, "webhooks.yaml", list("/two"))
	await("a request to the new URL", func() bool { ask(); return signedBy.Load() == "/two "+next })
	if _, page := d.get(t, "operators", "/metrics"); !strings.Contains(page, `fanoutd_webhook_requests_total{group="g",outcome="handled"}`) ||
		!strings.Contains(page, `fanoutd_webhook_operations_failed_total{group="g"} 0`) {
		t.Error("the metrics do not tell")
	}
	consumers, err := fanoutv1.NewAdminServiceClient(dialControl(t, d.at["backends"])).ListConsumers(t.Context(), &fanoutv1.ListConsumersRequest{})
	if err != nil || len(consumers.GetGroups()) != 1 || len(consumers.GetGroups()[0].GetConsumers()) != 1 {
		t.Errorf("the consumers are %v, %v", consumers, err)
	}
}
