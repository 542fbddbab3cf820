package httpserver

import "net/http"

// handler is what there is for who may ask: calls, and pages that tell of the server.
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", s.serveCall)
	mux.HandleFunc("GET /healthz", s.serveHealth)
	return mux
}

// serveHealth tells whether the daemon serves, as grpc.health.v1 does; it needs no key
// either.
func (s *Server) serveHealth(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	select {
	case <-s.services.ServingEnded():
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte(`{"status":"NOT_SERVING"}` + "\n"))
	default:
		_, _ = w.Write([]byte(`{"status":"SERVING"}` + "\n"))
	}
}
