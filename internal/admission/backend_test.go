package admission

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/sio/engineio"
	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

// decider is a Source.
type decider func(context.Context, *Request, sio.Admission) (sio.Admission, error)

func (d decider) Decide(ctx context.Context, r *Request, sofar sio.Admission) (sio.Admission, error) {
	return d(ctx, r, sofar)
}

func grants(more sio.Admission) decider {
	return func(_ context.Context, _ *Request, sofar sio.Admission) (sio.Admission, error) {
		return Merge(sofar, more)
	}
}

func fails(err error) decider {
	return func(context.Context, *Request, sio.Admission) (sio.Admission, error) {
		return sio.Admission{User: "nobody"}, err
	}
}

// events hears who was let in.
type events struct{ heard []string }

func (e *events) Connecting(context.Context, *sio.Socket, []byte) (sio.Admission, error) {
	return sio.Admission{}, errors.New("asked although it only hears")
}

func (e *events) Connected(s *sio.Socket) {
	c := s.Connection()
	rooms := slices.DeleteFunc(c.Rooms, func(r string) bool { return r == c.ID })
	e.heard = append(e.heard, fmt.Sprint("connected ", c.UserID, " ", rooms, " ", c.Data))
}

func (e *events) Event(_ *sio.Socket, in sio.Event) { e.heard = append(e.heard, "event "+in.Name) }

func (e *events) RecoveryExpired(sio.LostConnection) {}
func (e *events) Disconnected(*sio.Socket, sio.End)  { e.heard = append(e.heard, "disconnected") }

// inBubble runs f in fake time, with a server that asks the sources.
func inBubble(t *testing.T, f func(*testing.T, *wiretest.Listener, *Backend, *events, *strings.Builder), sources ...Source) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var logged strings.Builder
		heard := &events{}
		b := New(heard, slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug})), Sources(sources))
		s, err := sio.NewServer(sio.Options{Namespaces: []string{"/"}, Backend: b, Engine: engineio.Options{Logger: slog.New(slog.DiscardHandler)}})
		if err != nil {
			t.Fatal(err)
		}
		l := wiretest.Listen()
		hs := &http.Server{Handler: s}
		go hs.Serve(l)
		defer func() { // also after a Fatal
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			if err := s.Shutdown(ctx); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
			hs.Close()
		}()
		f(t, l, b, heard, &logged)
	})
}

// ask connects and asks for the default namespace.
func ask(t *testing.T, l *wiretest.Listener) *wiretest.WS {
	t.Helper()
	c := l.MustDialWS(t, "EIO=4&transport=websocket")
	c.Next()
	c.Say(`40{"token":"t"}`)
	return c
}

// TestAllHaveToAllow, each asked with what was granted by then.
func TestAllHaveToAllow(t *testing.T) {
	var asked []string
	sees := decider(func(_ context.Context, r *Request, sofar sio.Admission) (sio.Admission, error) {
		asked = append(asked, fmt.Sprint(sofar.User, " ", sofar.Rooms, " ", string(r.Auth), " ", r.Connection().Namespace, " ", r.Socket.ID() == r.Connection().ID))
		return Merge(sofar, sio.Admission{User: "v", Rooms: []string{"b"}, Data: map[string]any{"x": 1}})
	})
	inBubble(t, func(t *testing.T, l *wiretest.Listener, b *Backend, heard *events, _ *strings.Builder) {
		c := ask(t, l)
		if got := c.Next(); !strings.HasPrefix(got, `40{"sid":`) {
			t.Fatalf("got %s", got)
		}
		c.Say(`42["x"]`)
		synctest.Wait()
		c.Close()
		synctest.Wait()
		if want := []string{`u [a] {"token":"t"} / true`}; !slices.Equal(asked, want) {
			t.Errorf("asked %q, want %q", asked, want)
		}
		if want := []string{"connected v [a b] map[x:1]", "event x", "disconnected"}; !slices.Equal(heard.heard, want) {
			t.Errorf("heard %q, want %q", heard.heard, want)
		}
		if got, want := b.Stats(), (Stats{Admitted: 1}); got != want {
			t.Errorf("counts %+v, want %+v", got, want)
		}
	}, grants(sio.Admission{User: "u", Rooms: []string{"a"}}), sees)
}

// TestNotLetIn: the first source that does not allow decides; what may pass is
// counted apart from a refusal, and the client learns no reason.
func TestNotLetIn(t *testing.T) {
	tests := []struct {
		name   string
		err    error
		answer string // empty: the session is closed, so that the client comes back
		want   Stats
	}{
		{"refused", &sio.Refusal{Message: "banned", Data: []byte(`{"x":1}`)}, `44{"message":"banned","data":{"x":1}}`, Stats{Refused: 1}},
		{"refused for a reason", fmt.Errorf("%w: reason", &sio.Refusal{Message: "token invalid"}), `44{"message":"token invalid"}`, Stats{Refused: 1}},
		{"may pass", &sio.Unavailable{Message: "backend busy", Reason: errors.New("reason")}, "", Stats{Unavailable: 1}},
		{"some error", errors.New("reason"), `44{"message":"connection refused"}`, Stats{Unavailable: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			never := decider(func(context.Context, *Request, sio.Admission) (sio.Admission, error) {
				t.Error("asked after a refusal")
				return sio.Admission{}, nil
			})
			inBubble(t, func(t *testing.T, l *wiretest.Listener, b *Backend, heard *events, logged *strings.Builder) {
				c := ask(t, l)
				if tt.answer == "" {
					c.MustClose(1000, sio.ReasonUnavailable)
				} else if got := c.Next(); got != tt.answer {
					t.Errorf("got %s, want %s", got, tt.answer)
				}
				c.Close()
				synctest.Wait()
				if got := b.Stats(); got != tt.want {
					t.Errorf("counts %+v, want %+v", got, tt.want)
				}
				if len(heard.heard) > 0 {
					t.Errorf("heard %q", heard.heard)
				}
				if !strings.Contains(logged.String(), tt.err.Error()[:6]) || strings.Contains(logged.String(), "WARN") {
					t.Errorf("logged %s", logged)
				}
			}, grants(sio.Admission{}), fails(tt.err), never)
		})
	}
}

// TestLeft: a client that leaves while it is decided on ends the decision; it is
// counted, and no warning.
func TestLeft(t *testing.T) {
	waits := decider(func(ctx context.Context, _ *Request, _ sio.Admission) (sio.Admission, error) {
		<-ctx.Done()
		return sio.Admission{}, fmt.Errorf("left: %w", context.Cause(ctx))
	})
	inBubble(t, func(t *testing.T, l *wiretest.Listener, b *Backend, _ *events, logged *strings.Builder) {
		url := "http://fanoutd/socket.io/?EIO=4&transport=polling"
		browser := &http.Client{Transport: &http.Transport{DialContext: l.Dial}}
		defer browser.CloseIdleConnections()
		_, open, _ := strings.Cut(body(t, browser, http.MethodGet, url, ""), `"sid":"`)
		sid, _, _ := strings.Cut(open, `"`)
		go body(t, browser, http.MethodPost, url+"&sid="+sid, "40")
		synctest.Wait()
		body(t, browser, http.MethodPost, url+"&sid="+sid, "41")
		synctest.Wait()
		if got, want := b.Stats(), (Stats{Left: 1}); got != want {
			t.Errorf("counts %+v, want %+v", got, want)
		}
		if !strings.Contains(logged.String(), "level=DEBUG") || strings.Contains(logged.String(), "WARN") {
			t.Errorf("logged %s", logged)
		}
	}, waits)
}

// body makes a request and returns what is answered.
func body(t *testing.T, c *http.Client, method, url, text string) string {
	req, err := http.NewRequestWithContext(context.Background(), method, url, strings.NewReader(text))
	if err != nil {
		t.Error(err)
		return ""
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer resp.Body.Close()
	var answer strings.Builder
	if _, err := io.Copy(&answer, resp.Body); err != nil {
		t.Error(err)
	}
	return answer.String()
}
