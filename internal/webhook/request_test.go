package webhook

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudevents/sdk-go/v2/binding"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
)

// What comes is a CloudEvent, as its SDK reads it, signed as the library of Standard
// Webhooks verifies it, by either secret.
func TestRequest(t *testing.T) {
	before, after := secret(t, 1), secret(t, 2)
	inWorld(t, dispatch.Options{}, accept, func(w *world) {
		c, id := w.browsers.Connect(t, "/chat")
		defer c.Close()
		c.Say(`451-/chat,7["say","hi",{"_placeholder":true,"num":0},9007199254740993]`)
		c.SayBinary("\x01\x02")
		synctest.Wait()
		came := w.endpoint.came()
		if len(came) != 2 {
			t.Fatalf("%q came", told(came))
		}
		for i, r := range came {
			for n, s := range []interface {
				Verify([]byte, http.Header) error
			}{before, after} {
				if err := s.Verify(r.body, r.header); err != nil {
					t.Errorf("request %d, secret %d: %v", i, n, err)
				}
				if err := s.Verify(append(r.body, ' '), r.header); err == nil {
					t.Errorf("request %d, secret %d: another body is verified", i, n)
				}
			}
			if secret(t, 3).Verify(r.body, r.header) == nil {
				t.Error("a secret verifies it that it was not signed with")
			}
			if got := r.header.Get("Authorization"); got != "Bearer x" {
				t.Errorf("request %d has the authorization %q", i, got)
			}
		}
		r := came[1]
		e, err := binding.ToEvent(t.Context(), cehttp.NewMessage(r.header, io.NopCloser(bytes.NewReader(r.body))))
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Validate(); err != nil {
			t.Error(err)
		}
		for _, x := range []struct{ what, got, want string }{
			{"id", e.ID(), r.event.GetDeliveryId()}, {"type", e.Type(), "io.fanoutd.event.message"},
			{"source", e.Source(), "/n%201/%2Fchat"}, {"subject", e.Subject(), id}, {"specversion", e.SpecVersion(), "1.0"},
			{"content type", e.DataContentType(), "application/json"}, {"data", string(e.Data()), string(r.body)},
			{"webhook-id", r.header.Get("Webhook-Id"), e.ID()},
			{"event", r.event.GetEvent(), "say"}, {"args", r.event.GetArgsJson(), `["hi",{"_placeholder":true,"num":0},9007199254740993]`},
			{"attachment", string(r.event.GetAttachments()[0]), "\x01\x02"}, {"first argument", r.event.GetArgs()[0].GetStringValue(), "hi"},
		} {
			if x.got != x.want {
				t.Errorf("the %s is %q, want %q", x.what, x.got, x.want)
			}
		}
		if !e.Time().Equal(r.event.GetReceivedAt().AsTime()) {
			t.Errorf("the time is %v, want %v", e.Time(), r.event.GetReceivedAt().AsTime())
		}
		if got := came[0].event; got.GetKind() != fanoutv1.Event_CONNECTED || got.GetConnection().GetId() != id {
			t.Errorf("first came %v", got)
		}
	}, Endpoint{Secrets: secrets(before, after), Lifecycle: true, Header: http.Header{"Authorization": {"Bearer x"}, "Ce-Id": {"forged"}}})
}

// The id of an event is the same at every attempt, and the time of the signature is that
// of the attempt.
func TestAttempts(t *testing.T) {
	n := 0
	inWorld(t, dispatch.Options{}, func(w http.ResponseWriter, _ *fanoutv1.Event) {
		if n++; n < 3 {
			w.Header().Set("Retry-After", "600")
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}, func(w *world) {
		c, _ := w.browsers.Connect(t, "")
		defer c.Close()
		began := time.Now()
		c.Say(`42["n"]`)
		for i := range 3 {
			synctest.Wait()
			came := w.endpoint.came()
			if len(came) != 1 || came[0].event.GetAttempt() != uint32(i+1) {
				t.Fatalf("%q came at attempt %d", told(came), i+1)
			}
			if came[0].header.Get("Webhook-Id") != came[0].event.GetDeliveryId() {
				t.Errorf("attempt %d has another id", i+1)
			}
			if err := secret(t, 1).Verify(came[0].body, came[0].header); err != nil { // within 5 minutes
				t.Errorf("attempt %d: %v", i+1, err)
			}
			if waited := time.Since(began); waited != time.Duration(i)*10*time.Minute {
				t.Errorf("attempt %d came after %v", i+1, waited)
			}
			time.Sleep(10 * time.Minute)
		}
	}, Endpoint{Secrets: secrets(secret(t, 1))})
}

// With lifecycle an endpoint hears of the beginning of a connection, of its end, and that
// its client can come back as it no more; without, of none.
func TestLifecycle(t *testing.T) {
	inRecoveringWorld(t, time.Minute, dispatch.Options{}, accept, func(w *world) {
		c, _ := w.browsers.Connect(t, "")
		c.Say(`42["n"]`)
		c.Close()
		time.Sleep(time.Hour)
		var kinds []string
		for _, r := range w.endpoint.came() {
			if kind := r.header.Get("Ce-Type"); r.event.GetKind() != fanoutv1.Event_MESSAGE {
				kinds = append(kinds, kind)
			}
		}
		want := []string{typePrefix + "connected", typePrefix + "disconnected", typePrefix + "recovery_expired"}
		if !slices.Equal(kinds, want) {
			t.Errorf("beside messages %q came, want %q", kinds, want)
		}
		if got := w.server.Stats().Groups["others"].Outcomes[handled]; got != 1 {
			t.Errorf("the one without lifecycle was told %d events, want the message", got)
		}
	}, Endpoint{Lifecycle: true}, Endpoint{Group: "others"})
}
