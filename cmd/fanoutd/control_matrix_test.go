package main

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/certfile/certtest"
)

const (
	fullKey   = "a-key-that-may-do-everything"
	readKey   = "a-key-that-may-read-and-no-more"
	keysOfAll = "- {name: full, key: " + fullKey + "}\n- {name: reader, key: " + readKey + ", scopes: [read]}\n"
)

// requests are those of methods that do something with them; of all others they are empty.
var requests = map[string][]string{
	"Emit":                            {`{"to":{"all":true},"event":"e","argsJson":"[9007199254740993]"}`, `{"to":{"all":true,"namespace":"/nowhere"},"event":"e"}`},
	"EmitBatch":                       {`{"emits":[{"to":{"all":true},"event":"e"},{"to":{},"event":""}]}`},
	"EmitWithAck":                     {`{"emit":{"to":{"all":true},"event":"e"},"timeout":"0.050s"}`},
	"Batch":                           {`{"operations":[{"emit":{"to":{"all":true},"event":"e"}},{}]}`},
	"Call":                            {`{"id":"nobody","event":"e","timeout":"1s"}`},
	"ListConnections":                 {`{"to":{"all":true}}`, `{"to":{"all":true},"pageSize":5000}`},
	"GetConnection":                   {`{"id":"nobody"}`},
	"CountConnections":                {`{"to":{"all":true},"groupBy":"NAMESPACE"}`},
	"Join":                            {`{"to":{"all":true},"rooms":["r"]}`},
	"Leave":                           {`{"to":{"all":true},"rooms":["r"]}`},
	"Disconnect":                      {`{"to":{"users":["42"]},"mode":"TRANSPORT"}`},
	"Block":                           {`{"users":["blocked"],"addresses":["203.0.113.7"],"reason":"r"}`, `{"addresses":["0.0.0.0/0"]}`},
	"Unblock":                         {`{"users":["nobody"]}`},
	"ListBlocks":                      {`{"address":"203.0.113.7"}`},
	"UpdateConnection":                {`{"id":"nobody","data":{"a":1}}`},
	"Reply":                           {`{"deliveryId":"none"}`},
	"Publish":                         {`{"topic":"t","all":true,"argsJson":"[9007199254740993]","timeout":"0.050s"}`, `{"topic":"t"}`},
	"Drain":                           {`{"node":"nowhere"}`}, // and not of this one
	"DeleteGroup":                     {`{"group":"none"}`},
	"ListDeadLetters":                 {`{"group":"none"}`},
	"fanout.v1.RegistryService.Watch": {`{"to":{"all":true}}`},
	"Check":                           {`{"service":"fanout.v1.EmitterService"}`, `{"service":"none"}`},
}

// volatile is what differs from one answer to the next.
var volatile = regexp.MustCompile(`"(uptime|calls|at)":("[^"]*"|\d+),?`)

// methods are all of the contract, and of health.
func methods() (all []protoreflect.MethodDescriptor) {
	services := []protoreflect.ServiceDescriptor{healthv1.File_grpc_health_v1_health_proto.Services().ByName("Health")}
	for _, f := range []protoreflect.FileDescriptor{
		fanoutv1.File_fanout_v1_emitter_proto, fanoutv1.File_fanout_v1_registry_proto, fanoutv1.File_fanout_v1_event_proto, fanoutv1.File_fanout_v1_admin_proto,
	} {
		for i := range f.Services().Len() {
			services = append(services, f.Services().Get(i))
		}
	}
	for _, s := range services {
		for i := range s.Methods().Len() {
			all = append(all, s.Methods().Get(i))
		}
	}
	return all
}

// Every method comes to the same by whichever way it is called, and with whichever key.
func TestWaysAreAlike(t *testing.T) {
	dir := t.TempDir()
	keys := filepath.Join(dir, "keys.yaml")
	if err := os.WriteFile(keys, []byte(keysOfAll), 0o600); err != nil {
		t.Fatal(err)
	}
	authority := certtest.New(t, "an authority")
	cert, key := authority.Issue(t, "localhost").Write(t, dir)

	for _, tt := range []struct {
		name string
		args []string
		ways func(t *testing.T, address string) ([]string, map[string]way)
	}{
		{"in plain text", nil, plainWays},
		{"with TLS", []string{"--control-tls-cert-file=" + cert, "--control-tls-key-file=" + key}, func(t *testing.T, address string) ([]string, map[string]way) {
			return tlsWays(t, address, &tls.Config{RootCAs: authority.Pool()})
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := start(t, append([]string{"--control-keys-file=" + keys}, tt.args...)...)
			names, ways := tt.ways(t, d.at["backends"])
			calls := 0
			for _, m := range methods() {
				for _, request := range append([]string{`{}`}, slices.Concat(requests[string(m.Name())], requests[string(m.FullName())])...) {
					if m.Name() == "Drain" && request == `{}` {
						continue
					}
					for _, key := range []string{"", "another-key", readKey, fullKey} {
						r := &rpc{m, request, m.Name() == "Watch" || m.Name() == "Tail"}
						want := ways[names[0]](t, r, key)
						r.endless = r.endless && want.code == codes.OK
						for _, name := range names[1:] {
							calls++
							got := ways[name](t, r, key)
							if r.IsStreamingClient() && !strings.HasPrefix(name, "gRPC by") && want.code != codes.Unauthenticated && want.code != codes.PermissionDenied {
								if got.code != codes.Unimplemented || !strings.Contains(got.message, "Batch") {
									t.Errorf("%s by %s: got %v, want UNIMPLEMENTED that says what to do", m.FullName(), name, got)
								}
								continue
							}
							for _, o := range []*outcome{got, want} {
								for i := range o.answers {
									o.answers[i] = volatile.ReplaceAllString(o.answers[i], "")
								}
							}
							if !reflect.DeepEqual(got, want) {
								t.Errorf("%s with %s and key %q by %s:\n got %v\nwant %v", m.FullName(), request, key, name, got, want)
							}
						}
					}
				}
			}
			t.Logf("%d calls were compared with those by gRPC", calls)
			if calls < 500 {
				t.Errorf("%d calls were compared, which are too few", calls)
			}
		})
	}
}

// A client of gRPC that offers HTTP/1.1 too is served all the same, in both directions at
// once, and told of the end.
func TestGRPCThatOffersMore(t *testing.T) {
	authority := certtest.New(t, "an authority")
	cert, key := authority.Issue(t, "localhost").Write(t, t.TempDir())
	d := start(t, "--control-tls-cert-file="+cert, "--control-tls-key-file="+key)
	conn, err := grpc.NewClient("passthrough:///"+d.at["backends"], grpc.WithTransportCredentials(credentials.NewTLS(
		&tls.Config{RootCAs: authority.Pool(), NextProtos: []string{"http/1.1"}}))) // gRPC adds h2
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	stream, err := fanoutv1.NewEmitterServiceClient(conn).EmitStream(ctx)
	if err != nil {
		t.Fatal(err)
	}
	const items = 2000
	go func() {
		for i := range uint64(items) {
			_ = stream.Send(&fanoutv1.EmitStreamRequest{Sequence: i + 1, Emit: &fanoutv1.EmitRequest{To: &fanoutv1.Target{All: true}, Event: "e", ArgsJson: `["` + strings.Repeat("x", 1000) + `"]`}})
		}
	}()
	for acked := uint64(0); acked < items; {
		m, err := stream.Recv()
		if err != nil || len(m.GetErrors()) > 0 {
			t.Fatalf("after %d: %v, %v", acked, m, err)
		}
		acked = m.GetAckedThrough()
	}
	services := reflectionv1.NewServerReflectionClient(conn)
	listed, err := services.ServerReflectionInfo(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := listed.Send(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}}); err != nil {
		t.Fatal(err)
	}
	if m, err := listed.Recv(); err != nil || len(m.GetListServicesResponse().GetService()) < 7 {
		t.Errorf("reflection lists %v, %v", m, err)
	}
	if err := listed.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := listed.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("reflection ends with %v", err)
	}
	d.stop()
	if m, err := stream.Recv(); err != nil || !m.GetDraining() {
		t.Errorf("at the end: got %v, %v, want draining", m, err)
	}
	if _, err := stream.Recv(); grpcstatus.Code(err) != codes.Unavailable {
		t.Errorf("got %v, want UNAVAILABLE", err)
	}
	if code := d.wait(t); code != 0 || strings.Contains(d.logs.String(), "grace period") {
		t.Errorf("the daemon ended with %d:\n%s", code, d.logs)
	}
}
