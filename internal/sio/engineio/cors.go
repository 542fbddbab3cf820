package engineio

import (
	"net/http"
	"slices"
)

// CORS gives what h serves the headers that a poll of the same page has, and
// answers preflights as for polls; both only for pages that may connect. Others
// get h's answer without them, which browsers keep from their programs.
func (s *Server) CORS(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		access := s.access.Load()
		ok, named := access.Origins.allows(r, access.Proxies.site(r))
		if ok {
			access.Origins.setCORS(w.Header(), r, named)
			if r.Method == http.MethodOptions && r.Header.Get("Origin") != "" {
				access.Origins.preflight(w, r)
				return
			}
		}
		// Unlike a poll's, this answer may be kept by caches that others share.
		if vary := w.Header().Values("Vary"); !slices.Contains(vary, "Origin") {
			w.Header().Add("Vary", "Origin")
		}
		h.ServeHTTP(w, r)
	})
}

// setCORS adds the answer's CORS headers for a request whose origin is allowed.
// Only origins let in by name may send credentials: "*" and credentials
// together would hand every page of the web its visitors' cookies, and so would
// "null", which any page can make itself by a sandboxed frame.
func (o *Origins) setCORS(h http.Header, r *http.Request, named bool) {
	from := r.Header.Get("Origin")
	if o.listed() {
		h.Add("Vary", "Origin")
	}
	switch {
	case from == "":
	case named:
		h.Set("Access-Control-Allow-Origin", from)
		h.Set("Access-Control-Allow-Credentials", "true")
	case o.any:
		h.Set("Access-Control-Allow-Origin", "*")
	case o.null && from == "null":
		h.Set("Access-Control-Allow-Origin", from)
	}
}

// listed reports whether some origins are answered otherwise than others.
func (o *Origins) listed() bool { return o.null || len(o.exact)+len(o.below) > 0 }

// preflight answers an OPTIONS request of a page whose origin is allowed.
func (o *Origins) preflight(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", "GET, POST")
	if want := r.Header.Get("Access-Control-Request-Headers"); want != "" {
		h.Set("Access-Control-Allow-Headers", want)
		h.Add("Vary", "Access-Control-Request-Headers")
	}
	w.WriteHeader(http.StatusNoContent)
}
