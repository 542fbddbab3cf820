package test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// strangers opens n connections to the control API without a key.
func (s *siege) strangers(n int) []*grpc.ClientConn {
	s.Helper()
	conns := make([]*grpc.ClientConn, n)
	for i := range conns {
		conn, err := grpc.NewClient("passthrough:///"+s.control, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			s.Fatal(err)
		}
		s.Cleanup(func() { _ = conn.Close() })
		conns[i] = conn
	}
	return conns
}

// begin begins a call whose request never ends, and returns what it is answered.
func begin(ctx context.Context, conn *grpc.ClientConn, method string, req any) error {
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method)
	if err != nil {
		return err
	}
	_ = stream.SendMsg(req) // an error is told by what follows
	return stream.RecvMsg(&emptypb.Empty{})
}

// patient is a setting for attacks that make this process too busy to answer each ping in time.
const patient = "--ping-timeout=20s"

// TestFaultControlStrangers: who has no key is refused by the headers of a call. What comes
// behind them, some of it large and none of it ended, the daemon does not hold.
func TestFaultControlStrangers(t *testing.T) {
	if testing.Short() {
		t.Skip("sends hundreds of MB; run without -short")
	}
	needLinux(t)
	s := besiege(t, binary(t.Context(), t), "--control-key="+controlKey, patient)
	conns := s.strangers(4)
	large := &fanoutv1.EmitRequest{Event: "e", ArgsJson: strings.Repeat("x", 4<<20)}
	err := swarm(64, 64, func(i int) error {
		for range 4 {
			err := begin(s.ctx, conns[i%len(conns)], fanoutv1.EmitterService_Emit_FullMethodName, large)
			// Who has brought no key for a while has its connection closed; the next call opens another.
			for status.Code(err) == codes.Unavailable && s.ctx.Err() == nil {
				err = begin(s.ctx, conns[i%len(conns)], fanoutv1.EmitterService_Emit_FullMethodName, large)
			}
			if status.Code(err) != codes.Unauthenticated {
				return fmt.Errorf("a call without a key was answered %w, want UNAUTHENTICATED", err)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	s.lift(smallGrowth)
}

// TestFaultControlResets: calls that are begun and reset at once ("rapid reset",
// CVE-2023-44487), with a key and without, hold up nobody and leave nothing behind.
func TestFaultControlResets(t *testing.T) {
	if testing.Short() {
		t.Skip("resets 80,000 calls; run without -short")
	}
	needLinux(t)
	s := besiege(t, binary(t.Context(), t), "--control-key="+controlKey, patient)
	err := swarm(8, 8, func(i int) error {
		c, err := net.Dial("tcp", s.control)
		if err != nil {
			return err
		}
		defer c.Close()
		withKey := i%2 == 0
		err = reset(c, 10_000, withKey)
		if !withKey && (errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.EOF)) {
			return nil // who has brought no key for a while has its connection closed: a slow machine takes that long
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	s.lift(smallGrowth)
}

// reset begins n calls of Emit on a connection, resets each, and waits until the daemon has
// seen all of that.
func reset(c net.Conn, n int, withKey bool) error {
	seen := make(chan error, 1)
	go func() {
		for in := http2.NewFramer(nil, c); ; {
			f, err := in.ReadFrame()
			if ping, ok := f.(*http2.PingFrame); err != nil || ok && ping.IsAck() {
				seen <- err
				return
			}
		}
	}()
	out := bufio.NewWriter(c)
	if _, err := io.WriteString(out, http2.ClientPreface); err != nil {
		return err
	}
	framer := http2.NewFramer(out, nil)
	if err := framer.WriteSettings(); err != nil {
		return err
	}
	var block bytes.Buffer
	headers := hpack.NewEncoder(&block)
	for i := range n {
		block.Reset()
		for _, f := range []hpack.HeaderField{
			{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: "http"}, {Name: ":authority", Value: "here"},
			{Name: ":path", Value: fanoutv1.EmitterService_Emit_FullMethodName},
			{Name: "content-type", Value: "application/grpc"}, {Name: "te", Value: "trailers"},
			{Name: "authorization", Value: "Bearer " + controlKey},
		} {
			if f.Name != "authorization" || withKey {
				_ = headers.WriteField(f) // a buffer takes everything
			}
		}
		id := uint32(2*i + 1)
		if err := framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndHeaders: true}); err != nil {
			return err
		}
		if err := framer.WriteRSTStream(id, http2.ErrCodeCancel); err != nil {
			return err
		}
	}
	if err := framer.WritePing(false, [8]byte{}); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return err
	}
	return <-seen
}
