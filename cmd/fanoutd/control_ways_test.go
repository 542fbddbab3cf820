package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/anypb"
)

// outcome is what a call came to, alike for all ways to call.
type outcome struct {
	code    codes.Code
	message string
	details []string // in JSON
	answers []string // in JSON
}

func (o *outcome) String() string {
	return fmt.Sprintf("%v %q, details %v, answers %v", o.code, o.message, o.details, o.answers)
}

// rpc is a method to call, and what with.
type rpc struct {
	protoreflect.MethodDescriptor
	request string // in JSON
	endless bool   // it is left once it has begun
}

func (r *rpc) path() string { return fmt.Sprintf("/%s/%s", r.Parent().FullName(), r.Name()) }

func (r *rpc) message(t *testing.T) proto.Message {
	t.Helper()
	m := dynamicpb.NewMessage(r.Input())
	if err := protojson.Unmarshal([]byte(r.request), m); err != nil {
		t.Fatalf("%s: %v", r.path(), err)
	}
	return m
}

// answer is a message in JSON, always in the same.
func answer(t *testing.T, m proto.Message) string {
	t.Helper()
	text, err := protojson.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return compact(t, text)
}

func compact(t *testing.T, text []byte) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, text); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return b.String()
}

// way calls a method with a key, "" for none.
type way func(t *testing.T, r *rpc, key string) *outcome

// byGRPC calls by a client of gRPC.
func byGRPC(t *testing.T, address string, as credentials.TransportCredentials) way {
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(as))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return func(t *testing.T, r *rpc, key string) *outcome {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if key != "" {
			ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+key)
		}
		stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, r.path())
		if err != nil {
			t.Fatal(err)
		}
		if !r.IsStreamingClient() {
			_ = stream.SendMsg(r.message(t)) // its error is what RecvMsg says
		}
		_ = stream.CloseSend()
		o := &outcome{}
		if h, err := stream.Header(); r.endless && err == nil && h != nil {
			return o
		}
		for {
			m := dynamicpb.NewMessage(r.Output())
			err := stream.RecvMsg(m)
			if errors.Is(err, io.EOF) {
				return o
			}
			if err != nil {
				return o.failed(grpcstatus.Convert(err).Proto())
			}
			o.answers = append(o.answers, answer(t, m))
		}
	}
}

// detail is one of an error, always the same: maps have no order in bytes.
func detail(d *anypb.Any) string {
	text, err := protojson.Marshal(d)
	var b bytes.Buffer
	if err == nil {
		err = json.Compact(&b, text)
	}
	if err != nil {
		return err.Error()
	}
	return b.String()
}

// failed is the outcome with a status.
func (o *outcome) failed(s *status.Status) *outcome {
	o.code, o.message = codes.Code(s.GetCode()), s.GetMessage()
	for _, d := range s.GetDetails() {
		o.details = append(o.details, detail(d))
	}
	return o
}

// post begins a call over HTTP.
func post(t *testing.T, client *http.Client, base string, r *rpc, key, form string, body []byte, headers ...string) *http.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+r.path(), bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", form)
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// wireError is an error as Connect has it in JSON.
type wireError struct {
	Code    string
	Message string
	Details []struct{ Type, Value string }
}

func (o *outcome) failedAs(t *testing.T, text []byte) *outcome {
	t.Helper()
	var e wireError
	if err := json.Unmarshal(text, &e); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	for c := codes.OK; c <= codes.Unauthenticated; c++ {
		if strings.EqualFold(strings.ReplaceAll(e.Code, "_", ""), c.String()) {
			o.code = c
		}
	}
	o.message = e.Message
	for _, d := range e.Details {
		raw, err := base64.RawStdEncoding.DecodeString(d.Value)
		if err != nil {
			t.Fatal(err)
		}
		o.details = append(o.details, detail(&anypb.Any{TypeUrl: "type.googleapis.com/" + d.Type, Value: raw}))
	}
	return o
}

// byJSON calls as curl does: by plain JSON, answered by lines where there are many answers.
func byJSON(client *http.Client, base string) way {
	return func(t *testing.T, r *rpc, key string) *outcome {
		resp := post(t, client, base, r, key, "application/json", []byte(r.request))
		o := &outcome{}
		if r.endless && resp.StatusCode == 200 {
			return o
		}
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != 200 {
			return o.failedAs(t, text)
		}
		for line := range bytes.Lines(text) {
			if e, failed := bytes.CutPrefix(line, []byte(`{"error":`)); failed {
				return o.failedAs(t, bytes.TrimSuffix(bytes.TrimSpace(e), []byte("}")))
			}
			o.answers = append(o.answers, compact(t, line))
		}
		return o
	}
}

// byEvents is byJSON, answered by server-sent events where there are many answers.
func byEvents(client *http.Client, base string) way {
	plain := byJSON(client, base)
	return func(t *testing.T, r *rpc, key string) *outcome {
		if !r.IsStreamingServer() || r.IsStreamingClient() {
			return plain(t, r, key)
		}
		resp := post(t, client, base, r, key, "application/json", []byte(r.request), "Accept", "text/event-stream")
		o := &outcome{}
		if r.endless && resp.StatusCode == 200 {
			return o
		}
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != 200 {
			return o.failedAs(t, text)
		}
		for event := range strings.SplitSeq(strings.TrimSuffix(string(text), "\n\n"), "\n\n") {
			switch {
			case event == "event: end\ndata: {}":
				return o
			case strings.HasPrefix(event, "event: error\n"):
				return o.failedAs(t, []byte(strings.TrimSuffix(strings.TrimPrefix(event, "event: error\ndata: {\"error\":"), "}")))
			}
			o.answers = append(o.answers, compact(t, []byte(strings.TrimPrefix(event, "data: "))))
		}
		t.Errorf("%s: the events have no end: %q", r.path(), text)
		return o
	}
}

// byConnect calls as a generated client of Connect does, with JSON.
func byConnect(client *http.Client, base string) way {
	plain := byJSON(client, base)
	return func(t *testing.T, r *rpc, key string) *outcome {
		if !r.IsStreamingServer() {
			return plain(t, r, key)
		}
		resp := post(t, client, base, r, key, "application/connect+json", framed([]byte(r.request)), "Connect-Protocol-Version", "1")
		o := &outcome{}
		if r.endless { // its end would be a message, too
			return o
		}
		for flags, data := range frames(t, resp.Body) {
			if flags&2 == 0 {
				o.answers = append(o.answers, compact(t, data))
				continue
			}
			var end struct{ Error json.RawMessage }
			if err := json.Unmarshal(data, &end); err != nil {
				t.Fatal(err)
			}
			if end.Error != nil {
				o.failedAs(t, end.Error)
			}
		}
		return o
	}
}

// byGRPCWeb calls as a client of gRPC-Web does.
func byGRPCWeb(client *http.Client, base string) way {
	return func(t *testing.T, r *rpc, key string) *outcome {
		data, err := proto.Marshal(r.message(t))
		if err != nil {
			t.Fatal(err)
		}
		resp := post(t, client, base, r, key, "application/grpc-web+proto", framed(data), "X-Grpc-Web", "1")
		o := &outcome{}
		trailers := textproto.MIMEHeader(resp.Header)
		if r.endless && trailers.Get("Grpc-Status") == "" {
			return o
		}
		for flags, data := range frames(t, resp.Body) {
			if flags&0x80 != 0 {
				trailers, err = textproto.NewReader(bufio.NewReader(io.MultiReader(bytes.NewReader(data), strings.NewReader("\r\n")))).ReadMIMEHeader()
				if err != nil {
					t.Fatalf("%q: %v", data, err)
				}
				continue
			}
			m := dynamicpb.NewMessage(r.Output())
			if err := proto.Unmarshal(data, m); err != nil {
				t.Fatal(err)
			}
			o.answers = append(o.answers, answer(t, m))
		}
		code, err := strconv.Atoi(trailers.Get("Grpc-Status"))
		if err != nil {
			t.Fatalf("%s: no status in %v", r.path(), trailers)
		}
		message, err := url.PathUnescape(trailers.Get("Grpc-Message"))
		if err != nil {
			t.Fatal(err)
		}
		s := &status.Status{Code: int32(code), Message: message}
		if details := trailers.Get("Grpc-Status-Details-Bin"); details != "" {
			raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(details, "="))
			if err == nil {
				err = proto.Unmarshal(raw, s)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		return o.failed(s)
	}
}

// framed is a message with what Connect and gRPC-Web have in front of it.
func framed(data []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(data))), data...)
}

// frames yields what they have between messages, with its flags.
func frames(t *testing.T, r io.Reader) func(yield func(byte, []byte) bool) {
	return func(yield func(byte, []byte) bool) {
		for {
			head := make([]byte, 5)
			if _, err := io.ReadFull(r, head); errors.Is(err, io.EOF) {
				return
			} else if err != nil {
				t.Fatal(err)
			}
			data := make([]byte, binary.BigEndian.Uint32(head[1:]))
			if _, err := io.ReadFull(r, data); err != nil {
				t.Fatal(err)
			}
			if !yield(head[0], data) {
				return
			}
		}
	}
}

// plainWays are those to a listener in plain text; the first is what the others are held to.
func plainWays(t *testing.T, address string) (names []string, ways map[string]way) {
	client, base := http.DefaultClient, "http://"+address
	t.Cleanup(client.CloseIdleConnections)
	return []string{"gRPC", "JSON", "events", "Connect", "gRPC-Web"}, map[string]way{
		"gRPC": byGRPC(t, address, insecure.NewCredentials()), "JSON": byJSON(client, base), "events": byEvents(client, base),
		"Connect": byConnect(client, base), "gRPC-Web": byGRPCWeb(client, base),
	}
}

// tlsWays are the same to a listener with TLS.
func tlsWays(t *testing.T, address string, config *tls.Config) (names []string, ways map[string]way) {
	names = []string{"gRPC", "gRPC by net/http"}
	offersBoth := config.Clone()
	offersBoth.NextProtos = []string{"http/1.1"} // gRPC adds h2
	ways = map[string]way{
		"gRPC": byGRPC(t, address, credentials.NewTLS(config)), "gRPC by net/http": byGRPC(t, address, credentials.NewTLS(offersBoth)),
	}
	base := "https://" + address
	for _, version := range []string{"HTTP/1.1", "HTTP/2"} {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: config.Clone(), ForceAttemptHTTP2: version == "HTTP/2"}}
		t.Cleanup(client.CloseIdleConnections)
		for name, by := range map[string]way{
			"JSON": byJSON(client, base), "events": byEvents(client, base), "Connect": byConnect(client, base), "gRPC-Web": byGRPCWeb(client, base),
		} {
			names = append(names, name+" by "+version)
			ways[name+" by "+version] = by
		}
	}
	slices.Sort(names[2:])
	return names, ways
}
