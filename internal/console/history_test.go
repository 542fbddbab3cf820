package console

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"
)

// What a node had is there for 15 minutes, oldest first, and no longer.
func TestHistory(t *testing.T) {
	for _, tt := range []struct {
		name   string
		runs   time.Duration
		number int
		oldest float64 // seconds
	}{
		{"at the start", 0, 1, 1},
		{"after a minute", time.Minute, 13, 61},
		{"just full", 15*time.Minute - historyEvery, historySize, 15*60 - 4},
		{"after an hour and a bit", time.Hour + 17*time.Second, historySize, 15*60 - 5 + 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := 0
				h := NewHistory(func() Figures { n++; return Figures{Connections: n, FanOutSeconds: 0.5} })
				w := newWorld(t, func(o *Options) { o.History = h })
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan struct{})
				go func() { h.Run(ctx); close(ended) }()
				time.Sleep(tt.runs)
				time.Sleep(time.Second)
				var got struct{ Figures []past }
				text := w.do(own("GET", "/console/api/history", "", "Authorization", "Bearer "+readKey)).Body.Bytes()
				if err := json.Unmarshal(text, &got); err != nil || len(got.Figures) != tt.number || got.Figures[0].Age != tt.oldest {
					t.Fatalf("%v: %d of %s", err, len(got.Figures), text)
				}
				for i, f := range got.Figures {
					want := past{tt.oldest - float64(i)*historyEvery.Seconds(), Figures{Connections: n - tt.number + 1 + i, FanOutSeconds: 0.5}}
					if f != want {
						t.Errorf("figures %d are %+v, want %+v", i, f, want)
					}
				}
				cancel()
				<-ended
			})
		})
	}
}
