package console

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// What is kept of the figures: as much as the charts of the pages show.
const (
	historyEvery = 5 * time.Second
	historyTime  = 15 * time.Minute
	historySize  = int(historyTime / historyEvery)
)

// Figures are what a node has at one moment, and what it has done since its start, as far as
// the pages have charts of it.
type Figures struct {
	Connections int `json:"connections"`
	Rooms       int `json:"rooms"`
	Queued      int `json:"queued"` // bytes

	Received      uint64  `json:"received"` // events
	Sent          uint64  `json:"sent"`
	FanOuts       uint64  `json:"fanouts"`
	FanOutSeconds float64 `json:"fanoutSeconds"` // all of them together
}

// History keeps the figures of the last 15 minutes, so that whoever opens the console because
// something is wrong sees how it came about. Its methods may be called at once.
type History struct {
	read func() Figures

	mu   sync.Mutex
	kept []moment // a ring once it is full
	next int      // place of the next one
}

type moment struct {
	at time.Time
	Figures
}

// NewHistory returns a History of what read returns. It is empty until Run.
func NewHistory(read func() Figures) *History { return &History{read: read} }

// Run takes the figures at once, and every 5 seconds, until ctx ends.
func (h *History) Run(ctx context.Context) {
	tick := time.NewTicker(historyEvery)
	defer tick.Stop()
	for {
		h.keep(moment{time.Now(), h.read()})
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (h *History) keep(m moment) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.kept) < historySize {
		h.kept = append(h.kept, m)
		return
	}
	h.kept[h.next] = m
	h.next = (h.next + 1) % historySize
}

// past is one entry of the answer: figures, and how old they are, as the clocks of pages are
// their own.
type past struct {
	Age float64 `json:"age"` // seconds
	Figures
}

// all returns what is kept, oldest first.
func (h *History) all() []past {
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make([]past, 0, len(h.kept))
	for i := range h.kept {
		m := &h.kept[(h.next+i)%len(h.kept)]
		all = append(all, past{now.Sub(m.at).Seconds(), m.Figures})
	}
	return all
}

// serveHistory serves the history of this node to who may see all connections.
func (c *console) serveHistory(w http.ResponseWriter, r *http.Request) {
	if c.maySeeAll(w, r) {
		writeJSON(w, http.StatusOK, map[string][]past{"figures": c.History.all()})
	}
}
