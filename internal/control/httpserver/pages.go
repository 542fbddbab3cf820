package httpserver

import (
	"archive/tar"
	"bytes"
	"context"
	"io/fs"
	"net/http"

	"github.com/fanoutd/fanoutd/internal/control/api"
	"github.com/fanoutd/fanoutd/internal/control/connections"
	"github.com/fanoutd/fanoutd/internal/control/identity"
	"github.com/fanoutd/fanoutd/internal/control/middleware"
	contract "github.com/fanoutd/fanoutd/proto"
)

// handler is what there is for who may ask: calls, and pages that tell of the server.
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", s.serveCall)
	mux.HandleFunc("GET /healthz", s.serveHealth)
	mux.Handle("GET "+openAPIPage, s.page(openAPIPage, serveOpenAPI))
	mux.Handle("GET "+protoPage, s.page(protoPage, serveProto))
	mux.Handle("GET "+protoPage+"/", s.page(protoPage, serveProtoFile))
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

// The pages that tell what could be called, which is no secret to who may call some of it.
const (
	openAPIPage = "/openapi.json"
	protoPage   = "/proto"
)

// access is api.Access with the pages.
func access() middleware.Access {
	a := api.Access
	a.AnyKey = append([]string{openAPIPage, protoPage}, a.AnyKey...)
	return a
}

// page is next for everybody with a key.
func (s *Server) page(name string, next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &middleware.Call{
			Method: name, Authorization: r.Header["Authorization"], Certificate: identity.CertificateNames(r.TLS),
			Connection: connections.FromContext(r.Context()), Remote: remote(r.RemoteAddr), Session: sessionOf(r),
		}
		err := s.letIn(r.Context(), c, func(context.Context) error {
			next(w, r)
			return nil
		})
		if err != nil {
			s.writeError(w, r, err)
		}
	})
}

func serveOpenAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(contract.OpenAPI)
}

// serveProto answers an archive of the contract's files.
func serveProto(w http.ResponseWriter, r *http.Request) {
	var all bytes.Buffer
	archive := tar.NewWriter(&all)
	err := archive.AddFS(contract.Files())
	if err == nil {
		err = archive.Close()
	}
	if err != nil {
		http.Error(w, "the files cannot be put into an archive", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/x-tar")
	w.Header().Set("Content-Disposition", `attachment; filename="fanoutd-proto.tar"`)
	_, _ = w.Write(all.Bytes())
}

// serveProtoFile answers one of them.
func serveProtoFile(w http.ResponseWriter, r *http.Request) {
	text, err := fs.ReadFile(contract.Files(), r.URL.Path[len(protoPage)+1:])
	if err != nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write(text)
}
