package sio

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/fanoutd/fanoutd/internal/sio/engineio"
	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

// blockList is a Blocks that changes.
type blockList struct {
	mu       sync.Mutex
	users    map[string]bool
	prefixes []netip.Prefix
}

func (b *blockList) User(name string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.users[name]
}

func (b *blockList) Address(a netip.Addr) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

func (b *blockList) block(users []string, prefixes ...netip.Prefix) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, name := range users {
		b.users[name] = true
	}
	b.prefixes = append(b.prefixes, prefixes...)
}

// withBlocks runs f with clients that say by a header where they come from, and who say
// by a query who they are.
func withBlocks(t *testing.T, opts Options, f func(*world, *blockList)) {
	t.Helper()
	proxies, err := engineio.ParseProxies([]string{"unix"})
	if err != nil {
		t.Fatal(err)
	}
	list := &blockList{users: map[string]bool{}}
	opts.Blocks, opts.Engine.Proxies, opts.Namespaces = list, proxies, []string{"/", "/chat"}
	inBubble(t, opts, func(w *world) {
		w.backend.decide = func(_ context.Context, s *Socket) (Admission, error) {
			return Admission{User: s.Handshake().Query["user"]}, nil
		}
		f(w, list)
	})
}

// dial opens a session.
func (w *world) dial(user, from string) *wiretest.WS {
	w.t.Helper()
	c, res, err := w.listener.DialWS(w.t, "EIO=4&transport=websocket&user="+user, "X-Forwarded-For", from)
	if err != nil {
		w.t.Fatal(err)
	}
	res.Body.Close()
	c.Next() // open
	return c
}

func TestBlockUsers(t *testing.T) {
	withBlocks(t, Options{}, func(w *world, list *blockList) {
		in := w.dial("42", "192.0.2.1")
		in.Join("")
		in.Join("/chat")
		other := w.dial("43", "192.0.2.1")
		other.Join("")
		w.clearHeard()
		var details []string
		w.backend.ended = func(s *Socket, e End) { details = append(details, s.Namespace()+" "+e.Reason+" "+e.Detail) }
		list.block([]string{"42", "nobody"})
		expect(t, "ended", w.EndBlocked([]string{"42", "nobody"}, nil, "blocked: spam"), 2)
		expect(t, "packet", in.Next(), "41")
		expect(t, "packet", in.Next(), "41/chat,")
		in.MustClose(1000, "forced server close")
		synctest.Wait()
		expect(t, "ends", strings.Join(details, "; "), "/ server namespace disconnect blocked: spam; /chat server namespace disconnect blocked: spam")

		w.clearHeard()
		again := w.dial("42", "192.0.2.1")
		for _, packet := range []string{"40", "40/chat,"} {
			again.Say(packet)
			expect(t, "answer", again.Next(), strings.Replace(packet, "40", "44", 1)+`{"message":"blocked"}`)
		}
		// Whoever admitted it hears that it is not there.
		expect(t, "heard", w.heardNow(), "connecting / ; disconnected / server namespace disconnect; connecting /chat ; disconnected /chat server namespace disconnect")
		expect(t, "connections", w.Stats().Connections, 1)
		expect(t, "refused", w.Stats().Blocked, 2)
		again.Close()
		other.Close()
	})
}

func TestBlockAddresses(t *testing.T) {
	withBlocks(t, Options{}, func(w *world, list *blockList) {
		in := w.dial("42", "203.0.113.7")
		in.Join("")
		in.Join("/chat")
		silent := w.dial("", "203.0.113.8")
		other := w.dial("42", "203.0.114.7")
		other.Join("")
		w.clearHeard()
		network := netip.MustParsePrefix("203.0.113.0/24")
		list.block(nil, network)
		expect(t, "ended", w.EndBlocked(nil, []netip.Prefix{network}, "blocked"), 2)
		expect(t, "packet", in.Next(), "41")
		expect(t, "packet", in.Next(), "41/chat,")
		in.MustClose(1000, "forced server close")
		silent.MustClose(1000, "forced server close")
		expect(t, "heard", w.heardNow(), "disconnected / server namespace disconnect; disconnected /chat server namespace disconnect")
		_, res, err := w.listener.DialWS(t, "EIO=4&transport=websocket", "X-Forwarded-For", "203.0.113.9")
		if err == nil || res.StatusCode != 403 {
			t.Errorf("another from there: %v, %v", res, err)
		}
		expect(t, "sessions", w.OpenSessions(), 1)
		other.Close()
	})
}

// TestBlockedUserDoesNotComeBack as what it was before the block.
func TestBlockedUserDoesNotComeBack(t *testing.T) {
	withBlocks(t, Options{RecoveryWindow: recovering.RecoveryWindow}, func(w *world, list *blockList) {
		w.backend.decide = func(context.Context, *Socket) (Admission, error) { return Admission{User: "42"}, nil }
		r := w.returner("")
		r.cut()
		expect(t, "away", w.Stats().Offline, 1)
		list.block([]string{"42"})
		comeBack := func() {
			c := w.listener.MustDialWS(t, "EIO=4&transport=websocket")
			c.Next() // open
			c.Say(`40{"pid":"` + r.pid + `"}`)
			expect(t, "answer", c.Next(), `44{"message":"blocked"}`)
			c.Close()
			synctest.Wait()
		}
		comeBack() // before they are ended
		expect(t, "ended", w.EndBlocked([]string{"42"}, nil, "blocked"), 0)
		expect(t, "away", w.Stats().Offline, 0)
		comeBack()
	})
}

// TestBlockedWhileItJoins: who is blocked between its admission and its membership is
// ended by whoever comes second.
func TestBlockedWhileItJoins(t *testing.T) {
	withBlocks(t, Options{}, func(w *world, list *blockList) {
		asked := 0
		w.opts.Blocks = blocksFunc(func(string) bool { asked++; return asked > 1 })
		c := w.dial("42", "192.0.2.1")
		c.Say("40")
		if got := c.Next(); !strings.HasPrefix(got, `40{"sid"`) {
			t.Errorf("got %s", got)
		}
		expect(t, "packet", c.Next(), "41")
		c.MustClose(1000, "forced server close")
		expect(t, "heard", w.heardNow(), "connecting / ; connected /; disconnected / server namespace disconnect")
		expect(t, "connections", w.Stats().Connections, 0)
	})
}

// blocksFunc blocks users.
type blocksFunc func(string) bool

func (f blocksFunc) User(name string) bool   { return f(name) }
func (f blocksFunc) Address(netip.Addr) bool { return false }

// TestBlockedByTheBackend is counted like who is refused here.
func TestBlockedByTheBackend(t *testing.T) {
	withBlocks(t, Options{}, func(w *world, _ *blockList) {
		w.backend.decide = func(context.Context, *Socket) (Admission, error) { return Admission{}, ErrBlocked }
		c := w.dial("42", "192.0.2.1")
		c.Say("40")
		expect(t, "answer", c.Next(), `44{"message":"blocked"}`)
		expect(t, "refused", w.Stats().Blocked, 1)
		c.Close()
	})
}
