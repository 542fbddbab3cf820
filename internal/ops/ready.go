package ops

import (
	"net/http"
	"sync/atomic"
)

// Readiness says whether new browsers are welcome. The zero value says no:
// starting. It is safe for concurrent use, and the handler of /readyz.
type Readiness struct {
	// Missing returns what new browsers cannot be let in without and is not there
	// yet, empty if nothing is missing. It is asked once the daemon is ready by
	// itself; set it before anybody asks. Default: nothing is.
	Missing func() string

	why atomic.Pointer[string] // nil: starting; empty: ready
}

// Ready declares the daemon ready, if it was starting until now.
func (r *Readiness) Ready() { r.why.CompareAndSwap(nil, new(string)) }

// NotReady declares it not ready, for this reason, for good.
func (r *Readiness) NotReady(why string) { r.why.Store(&why) }

// Why returns why the daemon is not ready, or nothing if it is.
func (r *Readiness) Why() string {
	why := r.why.Load()
	switch {
	case why == nil:
		return "starting"
	case *why == "" && r.Missing != nil:
		return r.Missing()
	}
	return *why
}

func (r *Readiness) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	if why := r.Why(); why != "" {
		plain(w, http.StatusServiceUnavailable, "not ready: "+why+"\n")
		return
	}
	plain(w, http.StatusOK, "ok\n")
}
