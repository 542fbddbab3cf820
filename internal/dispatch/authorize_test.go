package dispatch

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio"
)

// A browser that leaves while it is decided on is no news: any number of
// any client can do that at any rate.
func TestLeavingDuringVerdictIsNoWarning(t *testing.T) {
	var logged strings.Builder
	log := slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelInfo}))
	inBubble(t, Options{Logger: log}, func(w *world) {
		m := w.subscribe(SubscriptionOptions{Authorize: true})
		browser := &http.Client{Transport: &http.Transport{DialContext: w.listener.Dial}}
		defer browser.CloseIdleConnections()
		for range 3 {
			url := "http://fanoutd/socket.io/?EIO=4&transport=polling"
			var open struct{ SID string }
			if err := json.Unmarshal([]byte(strings.TrimPrefix(body(t, browser, http.MethodGet, url, ""), "0")), &open); err != nil {
				t.Fatal(err)
			}
			url += "&sid=" + open.SID
			var asking sync.WaitGroup
			asking.Go(func() { body(t, browser, http.MethodPost, url, "40") })
			m.expect(t, "connecting / []")
			body(t, browser, http.MethodPost, url, "41") // two at once: the session ends
			asking.Wait()
		}
		synctest.Wait()
		if logged.Len() > 0 {
			t.Errorf("logged:\n%s", &logged)
		}
		expect(t, "verdicts that came too late", w.Stats().VerdictTimeouts, 0)
	})
}

// body makes a request and returns what is answered.
func body(t *testing.T, c *http.Client, method, url, text string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, url, strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return string(answer)
}

// Verdicts that do not come in time are told once in a while for each group,
// with the number of connections that were refused for it.
func TestMissingVerdictsWarnAtABoundedRate(t *testing.T) {
	var logged strings.Builder
	log := slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelInfo}))
	inBubble(t, Options{Logger: log, VerdictTimeout: time.Second, StallTimeout: time.Hour}, func(w *world) {
		for _, group := range []struct {
			name        string
			connections int // one a second
		}{{"a", 25}, {"b", 1}} {
			m := w.subscribe(SubscriptionOptions{Group: group.name, Authorize: true})
			for range group.connections {
				c := w.listener.MustDialWS(t, "EIO=4&transport=websocket")
				c.Next()
				c.Say("40")
				c.MustClose(1000, sio.ReasonUnavailable)
				c.Close()
			}
			_, err := w.DeleteGroup(m.options.Group) // decides no more
			ok(t, err)
		}
		expect(t, "verdicts that did not come in time", w.Stats().VerdictTimeouts, 26)
		var warned []string
		for line := range strings.Lines(logged.String()) {
			_, what, _ := strings.Cut(line, "level=")
			warned = append(warned, strings.TrimSpace(what))
		}
		const warning = `WARN msg="not letting connections in: no verdict in time" namespace=/ `
		expect(t, "log", strings.Join(warned, "\n"), strings.Join([]string{
			warning + "group=a connections=1", warning + "group=a connections=10", warning + "group=a connections=10", warning + "group=b connections=1",
		}, "\n"))
	})
}
