package test

import (
	"bufio"
	"bytes"
	"compress/flate"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fanoutd/fanoutd/backend"
	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// attackHalfOpen opens 10,000 upgrades and goes on with none: half of the
// candidates say nothing, the others are answered and then say nothing. The
// upgrade-timeout reclaims the candidates; their sessions, which nothing else ends
// here, live on until the attacker closes them.
func attackHalfOpen(t *testing.T, binary string) {
	s := besiege(t, binary, "--upgrade-timeout=10s", "--connect-timeout=1h", "--ping-interval=1h")
	const candidates = 10_000
	sessions, conns := s.halfOpen(candidates)
	if t.Failed() {
		return
	}
	for i, w := range conns {
		if err := w.end(); !errors.Is(err, io.EOF) {
			t.Fatalf("candidate %d ended with %v, want EOF", i, err)
		}
	}
	if n, want := s.footprint().sessions, len(s.honest)+candidates; n < want {
		t.Errorf("%d sessions are left when the candidates have ended, want %d: was it their end?", n, want)
	}
	t.Logf("%.1f KiB resident for each at most", float64(s.status("VmHWM")-s.before.resident)/candidates/1024)
	if err := swarm(candidates, 32, func(i int) error { return sessions[i].post("1") }); err != nil {
		t.Errorf("closing the sessions: %v", err)
	}
	s.lift(candidates*halfOpen + smallGrowth)
}

// halfOpen is what a half-open upgrade takes, in bytes: the session, the
// candidate's goroutine and buffers, and half as much as garbage.
const halfOpen = 20 << 10

// halfOpen opens n sessions, and an upgrade of each.
func (s *siege) halfOpen(n int) ([]*polling, []*rawSocket) {
	s.Helper()
	sessions, conns := make([]*polling, n), make([]*rawSocket, n)
	s.Cleanup(func() {
		for _, c := range conns {
			if c != nil {
				_ = c.Close()
			}
		}
	})
	client := s.polling().client
	err := swarm(n, 32, func(i int) error {
		p := &polling{ctx: s.ctx, client: client, address: s.listen}
		if err := p.open(""); err != nil {
			return err
		}
		sessions[i] = p
		w, err := s.webSocket("&sid=" + p.sid)
		if err != nil {
			return fmt.Errorf("candidate %d: %w", i, err)
		}
		conns[i] = w
		if i%2 == 0 {
			return nil
		}
		if err := w.say("2probe"); err != nil {
			return err
		}
		if answer, err := w.hear(); err != nil || answer != "3probe" {
			return fmt.Errorf("candidate %d was answered %.100q: %w", i, answer, err)
		}
		return nil
	})
	if err != nil {
		s.Error(err)
	}
	return sessions, conns
}

// watchSessions counts sessions until the function that it returns is called,
// which tells the most there were.
func (s *siege) watchSessions() (stop func() int) {
	stopped := make(chan struct{})
	var watching sync.WaitGroup
	most := 0
	look := func() {
		m := s.metrics()
		most = max(most, int(m[`fanoutd_sessions{transport="polling"}`]+m[`fanoutd_sessions{transport="websocket"}`]))
	}
	watching.Go(func() {
		for {
			look()
			select {
			case <-time.After(100 * time.Millisecond):
			case <-stopped:
				look()
				return
			}
		}
	})
	return func() int {
		close(stopped)
		watching.Wait()
		return most
	}
}

// attackMaxPending is the same with max-pending on: long before any timeout it
// bounds how many there are, and newcomers still get in.
func attackMaxPending(t *testing.T, binary string) {
	const limit, candidates = 300, 2000
	s := besiege(t, binary, fmt.Sprintf("--max-pending=%d", limit), "--upgrade-timeout=1h", "--connect-timeout=1h", "--ping-interval=1h")
	peak := s.watchSessions()
	conns, sessions := make([]net.Conn, candidates), make([]*polling, candidates)
	s.Cleanup(func() {
		for _, c := range conns {
			if c != nil {
				_ = c.Close()
			}
		}
	})
	client := s.polling().client
	err := swarm(candidates, 8, func(i int) error {
		p := &polling{ctx: s.ctx, client: client, address: s.listen}
		sessions[i] = p
		if err := p.open(""); err != nil {
			return err
		}
		w, err := s.webSocket("&sid=" + p.sid)
		if refused := (errStatus{}); errors.As(err, &refused) {
			return nil // evicted already
		}
		if err == nil {
			conns[i] = w
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	// A session that is being closed is counted for a moment longer.
	if n := peak(); n < limit || n > limit+len(s.honest)+100 {
		t.Errorf("at most %d sessions at once, want about %d", n, limit)
	}
	for i, c := range conns[:candidates-limit-100] {
		if c == nil {
			continue
		}
		if _, err := io.Copy(io.Discard, c); err != nil {
			t.Fatalf("candidate %d: %v", i, err)
		}
	}
	for _, p := range sessions {
		_ = p.post("1") // an error: it is gone
	}
	s.lift(2*limit*halfOpen + smallGrowth)
}

// attackAttachments announces ten attachments, sends as much as a packet may
// have, and never the last. The attachment-timeout reclaims it.
func attackAttachments(t *testing.T, binary string) {
	s := besiege(t, binary, "--attachment-timeout=4s", "--connect-timeout=1m", "--ping-interval=1m")
	const senders = 100
	part := appendFrame(nil, frameFinal|frameBinary, make([]byte, maxPayload-1000))
	err := swarm(senders, senders, func(i int) error {
		w, err := s.webSocket("")
		if err != nil {
			return err
		}
		defer w.Close()
		want := "attachment timeout"
		frames := [][]byte{text(`4510-["x",{"_placeholder":true,"num":0}]`), part, part}
		if i%2 == 0 {
			if err := w.join(); err != nil {
				return err
			}
		} else { // for a stranger nothing is held
			frames, want = frames[:1], "parse error"
		}
		if i%10 == 0 {
			frames, want = append(frames, part), "parse error"
		}
		for _, f := range frames {
			if _, err := w.Write(f); err != nil {
				return err
			}
		}
		if err := w.end(); !closedWith(err, want) {
			return fmt.Errorf("ended with %w, want %s", err, want)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	s.lift(senders*2*2*maxPayload + smallGrowth) // two messages' worth each, and as much garbage
}

// attackPolledAttachments is the same over polling. A session that was closed
// waits for its last poll, without what it held.
func attackPolledAttachments(t *testing.T, binary string) {
	s := besiege(t, binary)
	const senders = 50
	part := "b" + base64.StdEncoding.EncodeToString(make([]byte, maxPayload*3/4-1000))
	sessions := make([]*polling, senders)
	err := swarm(senders, 8, func(i int) error {
		p := s.polling()
		sessions[i] = p
		if err := p.open(""); err != nil {
			return err
		}
		for _, packet := range []string{"40", `4510-["x",{"_placeholder":true,"num":0}]`} {
			if err := p.post(packet); err != nil {
				return err
			}
		}
		for range 2 {
			if err := p.post(part); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	limit := time.Now().Add(8 * time.Second) // twice the timeouts
	for {
		if live := s.footprint().live; live < s.before.live+liveSlack {
			break
		} else if time.Now().After(limit) {
			t.Errorf("closed sessions hold %d MiB", (live-s.before.live)>>20)
			break
		}
		time.Sleep(200 * time.Millisecond)
	}
	for _, p := range sessions {
		for { // to the close packet, or that the session is unknown
			if body, err := p.get(); err != nil || strings.HasSuffix(body, "1") {
				break
			}
		}
	}
	s.lift(senders*2*2*maxPayload + smallGrowth)
}

// polling is a session to be opened over polling.
func (s *siege) polling() *polling {
	t := &http.Transport{MaxIdleConnsPerHost: 32}
	s.mu.Lock()
	s.transports = append(s.transports, t)
	s.mu.Unlock()
	s.Cleanup(t.CloseIdleConnections)
	return &polling{ctx: s.ctx, client: &http.Client{Transport: t}, address: s.listen}
}

// attackFragments sends messages a byte a frame, with pings between them, and
// one without end in empty frames: the daemon's pings, which it leaves
// unanswered, end it.
func attackFragments(t *testing.T, binary string) {
	s := besiege(t, binary)
	const senders, size = 8, 20_000
	received := s.metrics()["fanoutd_events_received_total"]
	message := `42["x","` + strings.Repeat("y", size) + `"]`
	var frames []byte
	for i := range len(message) {
		first := byte(frameMore)
		if i == 0 {
			first = frameText
		}
		if i == len(message)-1 {
			first |= frameFinal
		}
		if i%100 == 50 {
			frames = appendFrame(frames, frameFinal|framePing, []byte("ping"))
		}
		frames = appendFrame(frames, first, []byte{message[i]})
	}
	err := swarm(senders, senders, func(i int) error {
		w, err := s.webSocket("")
		if err != nil {
			return err
		}
		defer w.Close()
		if err := w.join(); err != nil {
			return err
		}
		if _, err := w.Write(frames); err != nil {
			return err
		}
		if i%2 == 0 {
			return stillThere(w)
		}
		if _, err := w.Write(appendFrame(nil, frameText, []byte("4"))); err != nil {
			return err
		}
		want, endless := `"ping timeout"`, repeat(appendFrame(nil, frameMore, nil), 64<<10)
		if i%4 == 1 {
			want, endless = "closed with 1009", repeat(appendFrame(nil, frameMore, []byte("x")), 64<<10)
		}
		var pouring sync.WaitGroup
		defer pouring.Wait()
		defer w.Close()
		pouring.Go(func() { _, _ = pour(w, endless, 1<<50) })
		if err := w.end(); !strings.Contains(err.Error(), want) {
			return fmt.Errorf("ended with %w, want %s", err, want)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if n := s.metrics()["fanoutd_events_received_total"] - received; n != senders {
		t.Errorf("%v events came, want %d", n, senders)
	}
	s.lift(senders*4*maxPayload + smallGrowth)
}

// attackDeflate sends 900 MB of zeros in less than max-payload, in one frame and
// in many. What is inflated is bounded by max-payload too.
func attackDeflate(t *testing.T, binary string) {
	s := besiege(t, binary, "--per-message-deflate")
	const senders = 16
	bomb := deflateBomb()
	whole := appendFrame(nil, frameFinal|frameRSV1|frameText, bomb)
	pieces := appendFrame(nil, frameRSV1|frameText, bomb[:1])
	for piece := bomb[1:]; len(piece) > 0; piece = piece[min(100, len(piece)):] {
		pieces = appendFrame(pieces, frameMore, piece[:min(100, len(piece))])
	}
	err := swarm(senders, senders, func(i int) error {
		w, err := s.webSocket("", "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover; server_no_context_takeover\r\n")
		if err != nil {
			return err
		}
		defer w.Close()
		if i%2 == 0 {
			_, _ = w.Write(whole) // it is cut off before its end
		} else {
			_, _ = w.Write(pieces)
		}
		if err := w.end(); !strings.Contains(err.Error(), "closed with 1009") {
			return fmt.Errorf("ended with %w, want 1009", err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	s.lift(senders*6*maxPayload + smallGrowth)
}

// deflateBomb is 900 MB of zeros (RFC 7692, 7.2.1).
func deflateBomb() []byte {
	var b bytes.Buffer
	z, _ := flate.NewWriter(&b, flate.BestCompression) // the level is valid
	_, _ = z.Write(make([]byte, 60<<20))               // a buffer takes everything
	_ = z.Flush()
	return bytes.Repeat(b.Bytes(), 900/60) // each ends at a byte, and looks back at zeros
}

// attackFatHandshakes opens sessions with as many headers and as long an address
// as a request may have.
func attackFatHandshakes(t *testing.T, binary string) {
	s := besiege(t, binary)
	const sessions = 2000
	client := s.polling().client
	header := http.Header{"Authorization": {strings.Repeat("a", 8000)}, "User-Agent": {strings.Repeat("u", 500)}, "Referer": {strings.Repeat("r", 500)}}
	err := swarm(sessions, 16, func(i int) error {
		p := &polling{ctx: s.ctx, client: client, address: s.listen, header: header}
		return p.open("&" + strings.Repeat("k=v&", 10) + "x=" + strings.Repeat("y", 7000))
	})
	if err != nil {
		t.Error(err)
	}
	const each = 24 << 10 // maxHeaderBytes, and the session
	s.lift(sessions*each*2 + smallGrowth)
}

// attackAddresses floods from one address and from many, as proxies tell: the
// limits of an address refuse the one, max-pending evicts the others.
func attackAddresses(t *testing.T, binary string) {
	const limit, ofOne, handshakes = 200, 50, 2000
	s := besiege(t, binary, "--trusted-proxies=127.0.0.1", fmt.Sprintf("--max-pending=%d", limit), fmt.Sprintf("--max-address-pending=%d", ofOne),
		"--max-address-rate=20", "--connect-timeout=1h", "--ping-interval=10s")
	client := s.polling().client
	flood := func(from func(i int) string) (accepted, refused int64) {
		var yes, no atomic.Int64
		err := swarm(handshakes, 8, func(i int) error {
			p := &polling{ctx: s.ctx, client: client, address: s.listen, header: http.Header{"X-Forwarded-For": {from(i)}}}
			err := p.open("")
			if e := (errStatus{}); errors.As(err, &e) && e.status == http.StatusTooManyRequests {
				no.Add(1)
				return nil
			}
			yes.Add(1)
			return err
		})
		if err != nil {
			t.Error(err)
		}
		return yes.Load(), no.Load()
	}
	// Beside the attackers' there may be an honest visitor's, and sessions that are about to end.
	const others = 50
	peak := s.watchSessions()
	// It may open anew what the heartbeat has closed, if all that takes long.
	if yes, no := flood(func(int) string { return "203.0.113.9" }); yes < ofOne || no == 0 {
		t.Errorf("one address opened %d sessions of %d, %d were refused, want at least %d, and some refused", yes, handshakes, no, ofOne)
	}
	if n := peak(); n > ofOne+len(s.honest)+others {
		t.Errorf("at most %d sessions at once with one address, want about %d", n, ofOne)
	}
	peak = s.watchSessions()
	if yes, _ := flood(func(i int) string { return fmt.Sprintf("198.51.%d.%d", i/250, i%250) }); yes != handshakes {
		t.Errorf("many addresses opened %d sessions, want %d", yes, handshakes)
	}
	if n := peak(); n > limit+len(s.honest)+others {
		t.Errorf("at most %d sessions at once, want about %d", n, limit)
	}
	s.lift(limit*2*halfOpen + smallGrowth)
}

// attackConnects floods with CONNECT packets, as fast as the answers are read: a
// million to namespaces that do not exist, some to more than may be joined, and
// some to one that is left and joined again.
func attackConnects(t *testing.T, binary string) {
	s := besiege(t, binary, "--connect-timeout=1m")
	const window = 10_000
	var wrong, tenants, again []byte
	for i := range window {
		wrong = append(wrong, text(fmt.Sprintf("40/wrong-%d,", i))...)
		again = append(append(again, text("40")...), text("41")...)
	}
	for i := range 150 {
		tenants = append(tenants, text(fmt.Sprintf("40/tenant-%d,", i))...)
	}
	for _, f := range []struct {
		name              string
		frames            []byte
		times             int
		accepted, refused int // each time
	}{
		{"wrong", wrong, 1_000_000 / window, 0, window},
		{"tenants", tenants, 1, 100, 50},
	} {
		w, err := s.webSocket("")
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		w.reader = bufio.NewReaderSize(w, 64<<10)
		for range f.times {
			if _, err := w.Write(f.frames); err != nil {
				t.Fatalf("%s: %v", f.name, err)
			}
			if accepted, refused, err := w.answers(f.accepted + f.refused); accepted != f.accepted || refused != f.refused {
				t.Fatalf("%s: %d were accepted and %d refused, want %d and %d: %v", f.name, accepted, refused, f.accepted, f.refused, err)
			}
		}
	}
	// Who leaves before it is decided on hears nothing; the last is refused.
	w, err := s.webSocket("")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for range 5 {
		if _, err := w.Write(append(again, text("40/wrong,")...)); err != nil {
			t.Fatal(err)
		}
		for refused := 0; refused == 0; {
			if _, refused, err = w.answers(1); err != nil {
				t.Fatalf("again: %v", err)
			}
		}
	}
	if err := stillThere(w); err != nil {
		t.Errorf("again: %v", err)
	}
	s.lift(3*2*maxQueue + smallGrowth)
}

// answers reads n answers to CONNECT packets.
func (w *rawSocket) answers(n int) (accepted, refused int, err error) {
	for accepted+refused < n {
		answer, err := w.hear()
		switch {
		case err != nil:
			return accepted, refused, err
		case answer == "2":
			if err := w.say("3"); err != nil {
				return accepted, refused, err
			}
		case strings.HasPrefix(answer, "40"):
			accepted++
		case strings.HasPrefix(answer, "44"):
			refused++
		default:
			return accepted, refused, fmt.Errorf("answered %.100q", answer)
		}
	}
	return accepted, refused, nil
}

// attackUnreadConnects is the same without reading the answers: max-queue bounds
// what waits for each, then it is closed.
func attackUnreadConnects(t *testing.T, binary string) {
	s := besiege(t, binary, "--ping-interval=1m", "--connect-timeout=1m")
	s.unread(text("40/w,"), nil)
	s.lift(unreadSessions*smallPacket*maxQueue + smallGrowth)
}

const unreadSessions = 8

// smallPacket is how many times its bytes a small packet takes in memory, as
// much garbage included: max-queue counts bytes on the wire.
const smallPacket = 8

// unread pours frames into some sessions, which read nothing but the answers to the
// first, until all of them were closed for being too slow.
func (s *siege) unread(frame []byte, first []string) {
	s.Helper()
	frames := repeat(frame, 64<<10)
	err := swarm(unreadSessions, unreadSessions, func(int) error {
		w, err := s.webSocket("")
		if err != nil {
			return err
		}
		defer w.Close()
		for _, f := range first {
			if err := w.say(f); err != nil {
				return err
			}
			if _, err := w.hear(); err != nil { // what comes before the connection has another bound
				return err
			}
		}
		if sent, err := pour(w, frames, enough); err == nil {
			return fmt.Errorf("%d bytes were taken", sent)
		}
		return nil
	})
	if err != nil {
		s.Error(err)
	}
	if n := s.metrics()["fanoutd_sessions_slow_total"]; n != unreadSessions {
		s.Errorf("%v sessions were closed for being slow, want %d", n, unreadSessions)
	}
}

// attackUnreadAnswers asks for acks and never reads them.
func attackUnreadAnswers(t *testing.T, binary string) {
	s := besiege(t, binary, "--ping-interval=1m", "--ping-timeout=2m") // of which the consumer has a quarter to keep up
	client, err := backend.Dial(s.ctx, s.control, backend.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := client.Consumer(backend.ConsumerOptions{Group: "g"})
	answer := strings.Repeat("x", 16<<10)
	c.On("ask", func(context.Context, *backend.Event) (backend.Reply, error) { return backend.Reply{answer}, nil })
	ctx, stop := context.WithCancel(s.ctx)
	var consuming sync.WaitGroup
	consuming.Go(func() { _ = c.Run(ctx) })
	t.Cleanup(func() { stop(); consuming.Wait(); _ = client.Close() })
	eventually(s.ctx, t, "the consumer is there", func() bool {
		return len(group(s.ctx, t, fanoutv1.NewAdminServiceClient(client.GRPC())).GetConsumers()) == 1
	})
	s.before = s.footprint() // the consumer is no part of the attack
	s.unread(text(`421["ask"]`), []string{"40"})
	stop()
	consuming.Wait()
	s.lift(unreadSessions*4*maxQueue + smallGrowth)
}

// attackPings floods with WebSocket pings and does not read the answers: of
// those, the last is enough. Pongs that nobody asked for cost nothing.
func attackPings(t *testing.T, binary string) {
	s := besiege(t, binary, "--ping-interval=1m", "--connect-timeout=1m")
	const sessions = 2
	large := repeat(appendFrame(nil, frameFinal|framePing, make([]byte, 125)), 64<<10)
	empty := repeat(appendFrame(nil, frameFinal|framePing, nil), 64<<10)
	pongs := repeat(text("3"), 1<<20)
	err := swarm(sessions, sessions, func(int) error {
		w, err := s.webSocket("")
		if err != nil {
			return err
		}
		defer w.Close()
		if _, err := w.Write(pongs); err != nil {
			return err
		}
		// The large ones fill what the kernel buffers. An error: it was closed.
		if _, err := pour(w, large, 3<<20); err == nil {
			_, _ = pour(w, empty, 16<<20)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	s.lift(sessions*2*maxQueue + smallGrowth)
}

// attackOldPings is the same with pings of Engine.IO v3, where clients ping, over
// both transports.
func attackOldPings(t *testing.T, binary string) {
	s := besiege(t, binary, "--allow-eio3")
	const posts = 20
	var flooding sync.WaitGroup
	flooding.Go(func() {
		w, err := s.webSocket("&EIO=3")
		if err != nil {
			t.Error(err)
			return
		}
		defer w.Close()
		_, _ = pour(w, repeat(text("2"), 64<<10), posts*maxPayload) // an error: it was closed
	})
	flooding.Go(func() {
		p := s.polling()
		p.old = true
		body, err := p.do("GET", "EIO=3&transport=polling", nil)
		_, open, _ := strings.Cut(body, ":") // its length
		if err == nil {
			p.sid, err = sessionID(open)
		}
		payload := strings.Repeat("1:2", maxPayload/3)
		for range posts {
			if err == nil {
				err = p.post(payload)
			}
		}
		if refused := (errStatus{}); err != nil && !errors.As(err, &refused) { // else it was closed
			t.Error(err)
		}
	})
	flooding.Wait()
	s.lift(2*2*maxQueue + smallGrowth)
}

// attackVerdicts has thousands of sessions ask to join at once where a consumer
// is to decide that never does. Whichever runs out first closes them: the
// verdict-timeout, or the connect-timeout.
func attackVerdicts(t *testing.T, binary string) {
	s := besiege(t, binary)
	s.closed.Store(true)   // nobody is let in
	time.Sleep(visitPause) // the last visit ends
	const sessions = 1000
	stream, err := fanoutv1.NewEventServiceClient(connectTo(t, s.control)).Consume(s.ctx)
	if err != nil {
		t.Fatal(err)
	}
	err = stream.Send(&fanoutv1.ConsumeRequest{Request: &fanoutv1.ConsumeRequest_Open_{
		Open: &fanoutv1.ConsumeRequest_Open{Group: "g", Authorize: true, MaxInFlight: 10_000},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if res, err := stream.Recv(); err != nil || res.GetReady() == nil {
		t.Fatalf("joining: %v, %v", res, err)
	}
	auth := `40{"token":"` + strings.Repeat("x", 10_000) + `"}`
	err = swarm(sessions, sessions, func(i int) error {
		w, err := s.webSocket("")
		if err != nil {
			return err
		}
		defer w.Close()
		if err := w.say(auth); err != nil {
			return err
		}
		for {
			answer, err := w.hear()
			switch {
			case closedWith(err, "authorization unavailable"), closedWith(err, "connect timeout"):
				return nil
			case err != nil:
				return fmt.Errorf("ended with %w", err)
			case answer == "2":
				err = w.say("3")
			default:
				return fmt.Errorf("answered %.100q", answer)
			}
			if err != nil {
				return err
			}
		}
	})
	if err != nil {
		t.Error(err)
	}
	s.lift(sessions*(halfOpen+4*10_000) + smallGrowth)
}
