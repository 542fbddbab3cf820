package httpserver

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/control/identity"
)

// A call is POST, and says so.
func TestOtherVerbs(t *testing.T) {
	w := serve(t, callers(t), Options{Open: true})
	for _, verb := range []string{http.MethodGet, http.MethodPut, http.MethodDelete, http.MethodOptions} {
		r := w.request(emitPath, "")
		r.Method = verb
		if resp := w.do(r); resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") != http.MethodPost {
			t.Errorf("%s: got %d, Allow %q", verb, resp.StatusCode, resp.Header.Get("Allow"))
		}
	}
}

// Who has no key learns nothing of which methods there are, and is refused like any other.
func TestOtherVerbsAndFormsWithoutAKey(t *testing.T) {
	w := serve(t, callers(t, identity.Key{Name: "x", Secret: "xx"}), Options{})
	for _, tt := range []struct{ verb, form string }{
		{http.MethodGet, ""}, {http.MethodPut, "application/json"}, {http.MethodPost, "text/plain"}, {http.MethodPost, "application/connect+json"},
	} {
		var answers []string
		for _, path := range []string{emitPath, "/fanout.v1.EmitterService/No"} {
			r := w.request(path, "", "Content-Type", tt.form)
			r.Method = tt.verb
			resp := w.do(r)
			resp.Header.Del("Date")
			answers = append(answers, fmt.Sprint(resp.StatusCode, resp.Header, readAll(t, resp)))
		}
		if answers[0] != answers[1] || !strings.Contains(answers[0], "KEY_MISSING") && !strings.Contains(answers[0], "unauthenticated") {
			t.Errorf("%s of %q: got %s, and of no method %s", tt.verb, tt.form, answers[0], answers[1])
		}
	}
	if !strings.Contains(w.log.String(), "reason=KEY_MISSING method="+emitPath) {
		t.Errorf("the log does not say it:\n%s", &w.log)
	}
	for _, m := range w.calls.Calls() {
		if m.Method == strings.TrimPrefix(emitPath, "/") && fmt.Sprint(m.Codes) != "map[Unauthenticated:4]" {
			t.Errorf("counted %v", m.Codes)
		}
	}
}

// Callers that nobody knows are told so by their headers: their requests are not waited
// for.
func TestRefusedBeforeTheRequest(t *testing.T) {
	w := serve(t, callers(t, identity.Key{Name: "x", Secret: "xx"}), Options{})
	for _, form := range []string{"application/json", "application/proto", "application/connect+json", "application/grpc-web+proto"} {
		for _, path := range []string{emitPath, tailPath, fanoutv1.EventService_Consume_FullMethodName, "/no.Such/Method"} {
			c, err := net.Dial("tcp", w.at)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n", path, form)
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatalf("%s of %s: %v", form, path, err)
			}
			text, grpcStatus := "", resp.Header.Get("Grpc-Status")
			if grpcStatus == "" {
				text = readAll(t, resp)
			}
			if resp.StatusCode == http.StatusContinue || !strings.Contains(text, "KEY_MISSING") && grpcStatus != "16" {
				t.Errorf("%s of %s: got %d, %q", form, path, resp.StatusCode, text)
			}
			c.Close()
		}
	}
}
