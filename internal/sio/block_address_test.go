package sio

import (
	"encoding/json"
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

// The addresses of a client that moves.
const (
	oneAddress     = "203.0.113.1"
	anotherAddress = "198.51.100.7"
)

// pollingClient is a client that polls, from the addresses that it is told.
type pollingClient struct {
	w     *world
	http  *http.Client
	query string
}

// poller opens a session by polling and joins "/" and "/chat".
func (w *world) poller(from string) *pollingClient {
	w.t.Helper()
	p := &pollingClient{w, &http.Client{Transport: &http.Transport{DialContext: w.listener.Dial}}, "EIO=4&transport=polling"}
	_, open := p.do("GET", "", from)
	var o struct{ SID string }
	if err := json.Unmarshal([]byte(strings.TrimPrefix(open, "0")), &o); err != nil {
		w.t.Fatalf("open packet %q: %v", open, err)
	}
	p.query += "&sid=" + o.SID
	p.do("POST", "40\x1e40/chat,", from)
	synctest.Wait()
	if _, got := p.do("GET", "", from); strings.Count("\x1e"+got, "\x1e40") != 2 {
		w.t.Fatalf("joined: %q", got)
	}
	return p
}

func (p *pollingClient) do(method, body, from string) (status int, answer string) {
	p.w.t.Helper()
	r, err := http.NewRequest(method, "http://server/socket.io/?"+p.query, strings.NewReader(body))
	if err != nil {
		p.w.t.Fatal(err)
	}
	r.Header.Set("X-Forwarded-For", from)
	res, err := p.http.Do(r)
	if err != nil {
		p.w.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		p.w.t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// last polls until the session's end, and returns what it was told.
func (p *pollingClient) last(from string) string {
	p.w.t.Helper()
	var all []string
	for {
		status, answer := p.do("GET", "", from)
		if status != http.StatusOK {
			return strings.Join(append(all, strconv.Itoa(status)), "\x1e")
		}
		if all = append(all, answer); strings.HasSuffix(answer, "1") && !strings.HasSuffix(answer, "41") {
			return strings.Join(all, "\x1e")
		}
	}
}

// candidate connects a WebSocket that is to take the session over.
func (p *pollingClient) candidate(from string) *wiretest.WS {
	p.w.t.Helper()
	c, res, err := p.w.listener.DialWS(p.w.t, strings.Replace(p.query, "polling", "websocket", 1), "X-Forwarded-For", from)
	if err != nil {
		p.w.t.Fatal(err)
	}
	res.Body.Close()
	return c
}

func (p *pollingClient) upgrade(from string) *wiretest.WS {
	p.w.t.Helper()
	c := p.candidate(from)
	c.Say("2probe")
	expect(p.w.t, "probe", c.Next(), "3probe")
	c.Say("5")
	synctest.Wait()
	return c
}

func (p *pollingClient) close() { p.http.CloseIdleConnections() }

// blockNetwork blocks the network of an address, and returns how many connections ended.
func (w *world) blockNetwork(list *blockList, address string) int {
	network, err := netip.MustParseAddr(address).Prefix(24)
	if err != nil {
		w.t.Fatal(err)
	}
	list.block(nil, network)
	return w.EndBlocked(nil, []netip.Prefix{network}, "blocked")
}

// goodbye is what a client is told whose session ends because it is blocked.
const goodbye = "41\x1e41/chat,\x1e1"

const bothEnded = "disconnected / server namespace disconnect; disconnected /chat server namespace disconnect"

// TestBlockOfAClientThatMoved: a session ends with the block of any address that carries
// it: of the one that opened it, of the one that it was upgraded from, or polls from.
func TestBlockOfAClientThatMoved(t *testing.T) {
	for _, blocked := range []string{oneAddress, anotherAddress} {
		t.Run("upgraded, "+blocked, func(t *testing.T) {
			withBlocks(t, Options{}, func(w *world, list *blockList) {
				p := w.poller(oneAddress)
				defer p.close()
				c := p.upgrade(anotherAddress)
				w.clearHeard()
				expect(t, "ended", w.blockNetwork(list, blocked), 2)
				expect(t, "packet", c.Next(), "41")
				expect(t, "packet", c.Next(), "41/chat,")
				c.MustClose(1000, "forced server close")
				expect(t, "heard", w.heardNow(), bothEnded)
			})
		})
		t.Run("upgrading, "+blocked, func(t *testing.T) {
			withBlocks(t, Options{}, func(w *world, list *blockList) {
				p := w.poller(oneAddress)
				defer p.close()
				c := p.candidate(anotherAddress)
				c.Say("2probe")
				expect(t, "probe", c.Next(), "3probe")
				w.clearHeard()
				w.blockNetwork(list, blocked) // or a look at the candidate's address ends them first
				c.Say("5")                    // it has paused polling, and hears of the end all the same
				expect(t, "packet", c.Next(), "41")
				expect(t, "packet", c.Next(), "41/chat,")
				c.MustClose(1000, "forced server close")
				expect(t, "heard", w.heardNow(), bothEnded)
			})
		})
		t.Run("polling, "+blocked, func(t *testing.T) {
			withBlocks(t, Options{}, func(w *world, list *blockList) {
				p := w.poller(oneAddress)
				defer p.close()
				got := make(chan string)
				go func() { got <- p.last(anotherAddress) }()
				synctest.Wait()
				w.clearHeard()
				w.blockNetwork(list, blocked) // or the next poll ends them first
				expect(t, "the pending poll, and those behind it", <-got, goodbye)
				expect(t, "heard", w.heardNow(), bothEnded)
			})
		})
	}
}

// TestBlockBetweenPolls: a client whose address is blocked while no poll of it waits hears
// by its next one that it is to stay away: stock clients would come back for ever after 403.
func TestBlockBetweenPolls(t *testing.T) {
	withBlocks(t, Options{}, func(w *world, list *blockList) {
		p := w.poller(oneAddress)
		defer p.close()
		w.clearHeard()
		expect(t, "ended", w.blockNetwork(list, oneAddress), 2)
		status, answer := p.do("POST", `42["late"]`, oneAddress)
		expect(t, "a POST", status, 200)
		expect(t, "its answer", answer, "ok")
		expect(t, "the next polls", p.last(oneAddress), goodbye)
		synctest.Wait()
		status, answer = p.do("GET", "", oneAddress)
		expect(t, "one more", status, 403)
		expect(t, "its answer", answer, `{"code":4,"message":"blocked"}`)
		expect(t, "heard", w.heardNow(), bothEnded)
	})
}

// TestRequestFromABlockedAddress: who comes from an address that was blocked before is
// found by nobody but the request itself: it ends the session, and is told so.
func TestRequestFromABlockedAddress(t *testing.T) {
	for name, request := range map[string]func(*pollingClient){
		"a poll": func(p *pollingClient) {
			expect(p.w.t, "answer", p.last(anotherAddress), goodbye)
		},
		"a POST": func(p *pollingClient) {
			status, _ := p.do("POST", `42["late"]`, anotherAddress)
			expect(p.w.t, "status", status, 200)
		},
		"an upgrade": func(p *pollingClient) {
			_, res, err := p.w.listener.DialWS(p.w.t, strings.Replace(p.query, "polling", "websocket", 1), "X-Forwarded-For", anotherAddress)
			if err == nil {
				p.w.t.Fatal("it is let in")
			}
			expect(p.w.t, "status", res.StatusCode, 403)
			expect(p.w.t, "answer", p.last(oneAddress), goodbye)
		},
	} {
		t.Run(name, func(t *testing.T) {
			withBlocks(t, Options{}, func(w *world, list *blockList) {
				p := w.poller(oneAddress)
				defer p.close()
				w.clearHeard()
				expect(t, "ended", w.blockNetwork(list, anotherAddress), 0)
				var details []string
				w.backend.ended = func(_ *Socket, e End) { details = append(details, e.Detail) }
				request(p)
				expect(t, "heard", w.heardNow(), bothEnded)
				expect(t, "details", strings.Join(details, ","), "blocked,blocked")
			})
		})
	}
}
