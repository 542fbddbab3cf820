package ops

import (
	"io"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// maxScrapes bounds the scrapes under way: a scrape walks every session, and
// nobody needs many at once.
const maxScrapes = 4

// bodyTimeout is how long a request may take to come whole, which net/http waits for even if
// nobody reads it. The control API sets its own, once it knows the caller.
const bodyTimeout = 10 * time.Second

// index names what is here.
const index = `fanoutd, the operators' listener

/livez         200 while the process runs
/readyz        200 while new browsers are welcome, 503 and the reason if not
/metrics       for Prometheus
/debug/pprof/  profiles: go tool pprof http://HOST:PORT/debug/pprof/heap
/console/      the console: pages for people
`

// Metrics serves metrics in the text format.
func Metrics(from prometheus.Gatherer) http.Handler {
	return promhttp.HandlerFor(from, promhttp.HandlerOpts{MaxRequestsInFlight: maxScrapes})
}

// Handler returns the operators' pages. All methods but GET and HEAD are
// refused, save for pprof's symbol lookup, whose tool posts, and what the console,
// which is below /console/, takes.
func Handler(ready *Readiness, metrics, console http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, index) })
	// Liveness asks nothing of anything: an answer is the proof, and a restart
	// cures nothing that readiness can tell.
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "ok\n") })
	mux.Handle("GET /readyz", ready)
	mux.Handle("GET /metrics", metrics)
	mux.Handle("/console/", console)
	mux.Handle("GET /console", http.RedirectHandler("/console/", http.StatusPermanentRedirect))

	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("POST /debug/pprof/symbol", pprof.Symbol)
	// The command line may hold the control key.
	mux.HandleFunc("GET /debug/pprof/cmdline", func(w http.ResponseWriter, _ *http.Request) {
		plain(w, http.StatusForbidden, "the command line is not shown: it may hold secrets\n")
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout)) // fails where there is no connection, in tests
		}
		mux.ServeHTTP(w, r)
	})
}

func plain(w http.ResponseWriter, status int, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) // a failure here is a peer that went away
}
