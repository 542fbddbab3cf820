package dispatch

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio"
)

// A namespace that only the star of the server's list has takes a consumer's verdict, or that
// of a source which decides on everything; those that the list has otherwise keep their rule.
func TestEveryNamespaceNeedsAVerdict(t *testing.T) {
	const verdict = "verdict" // of the group, which allows it
	tests := []struct {
		name       string
		opts       Options
		authorizes []string
		want       map[string]any // by namespace: whether the browser gets in, or verdict
	}{
		{"nobody authorises", Options{}, nil, map[string]any{"/": true, "/t-1": true, "/x": false, "/t-1/x": false}},
		{"a verdict is required everywhere", Options{RequireVerdict: true}, nil, map[string]any{"/": false, "/t-1": false, "/x": false}},
		{"another source decides", Options{OthersDecide: true}, nil, map[string]any{"/": true, "/x": true, "/t-1/x": true}},
		{"another source decides, and a verdict is required", Options{OthersDecide: true, RequireVerdict: true}, nil, map[string]any{"/": false, "/x": false}},
		{"a group authorises some", Options{}, []string{"/x", "/x/*"}, map[string]any{"/": true, "/x": verdict, "/x/1": verdict, "/y": false}},
		{"a group authorises all", Options{}, []string{"*"}, map[string]any{"/": verdict, "/t-1": verdict, "/x": verdict}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.opts.Namespaces = []string{"*", "/", "/t-*"}
			inBubble(t, tt.opts, func(w *world) {
				m := w.subscribe(SubscriptionOptions{Authorize: tt.authorizes != nil, Namespaces: tt.authorizes, ConsumerID: "c"})
				for namespace, want := range tt.want {
					in := w.knock(namespace, func() {
						if want == verdict {
							ok(t, m.Verdict(m.get(t).ID(), Verdict{Allow: true}))
						}
					})
					expect(t, "let into "+namespace, in, want != false)
				}
				m.Close()
			})
		})
	}
}

// Browsers that ask for namespaces nobody decides on, or that are refused, leave nothing.
func TestEveryNamespaceForgetsWhomItRefuses(t *testing.T) {
	inBubble(t, Options{Namespaces: []string{"*"}}, func(w *world) {
		m := w.subscribe(SubscriptionOptions{Authorize: true, Namespaces: []string{"/a/*"}})
		c := w.listener.MustDialWS(t, "EIO=4&transport=websocket")
		c.Next()
		for _, name := range []string{"/a/1", "/a/2", "/a/3", "/b"} {
			c.Say("40" + name + ",")
		}
		for range 3 {
			ok(t, m.Verdict(m.get(t).ID(), Verdict{Message: "no"}))
			expect(t, "answer", c.Next()[:5], "44/a/")
		}
		c.MustClose(1000, sio.ReasonUnavailable)
		time.Sleep(time.Minute)
		synctest.Wait()
		w.mu.Lock()
		expect(t, "clients", len(w.clients), 0)
		w.mu.Unlock()
		for _, g := range w.all() {
			g.mu.Lock()
			expect(t, "queues", len(g.queues), 0)
			g.mu.Unlock()
		}
		expect(t, "namespaces", w.server.Stats().Namespaces, 0)
		c.Close()
	})
}
