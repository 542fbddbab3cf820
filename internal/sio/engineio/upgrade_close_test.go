package engineio

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

// changeover is a session whose client is somewhere on its way from polling to a
// WebSocket.
type changeover struct {
	*world
	*heard
	query string
	ws    *wiretest.WS
	get   <-chan reply // pending; nil: none
}

// begin begins the upgrade, as far as these packets.
func (c *changeover) begin(poll bool, packets ...string) {
	c.query, c.heard = c.open()
	if poll {
		c.get = c.poll(c.query)
		synctest.Wait()
	}
	c.ws = c.dial(strings.Replace(c.query, "polling", "websocket", 1))
	for _, p := range packets {
		c.ws.Say(p)
		if p == "2probe" {
			if got := c.ws.Next(); got != "3probe" {
				c.t.Fatalf("answer to the probe = %q", got)
			}
		}
	}
	synctest.Wait()
}

// restOfPolls polls until the close packet or a refusal, as clients do that have not
// paused, and returns what came.
func (c *changeover) restOfPolls() (all []string) {
	for range 10 {
		r := reply{}
		if c.get != nil {
			r, c.get = <-c.get, nil
		} else {
			r = c.do("GET", c.query, "")
		}
		all = append(all, r.body)
		if r.status != 200 || r.body == "1" {
			break
		}
	}
	return all
}

// restOfWebSocket returns what comes over the WebSocket, to its end.
func (c *changeover) restOfWebSocket() (all []string) {
	for {
		_, b, err := c.ws.ReadMessage()
		if err != nil {
			if e := (*websocket.CloseError)(nil); errors.As(err, &e) && e.Code != websocket.CloseAbnormalClosure {
				return append(all, e.Text)
			}
			return append(all, "cut")
		}
		all = append(all, string(b))
	}
}

// A client that hears of its session's end neither by a poll, because it has paused
// polling for the upgrade, nor over the candidate would hear of it when its
// heartbeat fails. Whatever it does next, it gets the last event and the end.
func TestCloseDuringUpgrade(t *testing.T) {
	reasons := map[string]Reason{"disconnect": ReasonForcedServer, "expiry": "authorisation expired", "shutdown": ReasonShutdown}
	for name, reason := range reasons {
		end := func(c *changeover) {
			c.session.Send(Text([]byte("last")))
			if reason == ReasonShutdown {
				go c.server.Shutdown(context.Background())
			} else {
				c.session.Close(reason)
			}
			synctest.Wait()
		}
		run := func(what string, f func(t *testing.T, c *changeover)) {
			t.Run(name+", "+what, func(t *testing.T) {
				inBubble(t, Options{}, func(w *world) {
					c := &changeover{world: w}
					w.t = t
					f(t, c)
					c.ws.Close()
					time.Sleep(closeWait)
					synctest.Wait()
					expect(t, "sessions", len(w.server.all()), 0)
					expect(t, "reason", c.closedWith(), reason)
				})
			})
		}
		run("no probe yet, a poll waits", func(t *testing.T, c *changeover) {
			c.begin(true)
			end(c)
			expect(t, "polls", strings.Join(c.restOfPolls(), "|"), "4last|1")
			expect(t, "candidate", strings.Join(c.restOfWebSocket(), "|"), "cut")
		})
		run("no probe yet, then a poll", func(t *testing.T, c *changeover) {
			c.begin(false)
			end(c)
			expect(t, "polls", strings.Join(c.restOfPolls(), "|"), "4last|1")
		})
		run("no probe yet, then the upgrade", func(t *testing.T, c *changeover) {
			c.begin(false)
			end(c)
			c.ws.Say("2probe")
			expect(t, "answer to the probe", c.ws.Next(), "3probe")
			c.ws.Say("5")
			expect(t, "candidate", strings.Join(c.restOfWebSocket(), "|"), "4last|"+string(reason))
		})
		run("probed, paused", func(t *testing.T, c *changeover) {
			c.begin(false, "2probe")
			end(c)
			c.ws.Say("5")
			expect(t, "candidate", strings.Join(c.restOfWebSocket(), "|"), "4last|"+string(reason))
		})
		run("probed, its last poll on the way", func(t *testing.T, c *changeover) {
			c.begin(false, "2probe")
			end(c)
			expect(t, "last poll", c.do("GET", c.query, "").body, "4last")
			c.ws.Say("5")
			expect(t, "candidate", strings.Join(c.restOfWebSocket(), "|"), string(reason))
		})
		run("probed, and polls on", func(t *testing.T, c *changeover) {
			c.begin(false, "2probe")
			end(c)
			expect(t, "polls", strings.Join(c.restOfPolls(), "|"), "4last|1")
			expect(t, "candidate", strings.Join(c.restOfWebSocket(), "|"), "cut")
		})
		run("probed, and gives the candidate up", func(t *testing.T, c *changeover) {
			c.begin(false, "2probe")
			end(c)
			c.ws.Close()
			synctest.Wait()
			expect(t, "polls", strings.Join(c.restOfPolls(), "|"), "4last|1")
		})
		run("upgraded", func(t *testing.T, c *changeover) {
			c.begin(false, "2probe", "5")
			end(c)
			expect(t, "candidate", strings.Join(c.restOfWebSocket(), "|"), "4last|"+string(reason))
		})
		run("a POST on its way", func(t *testing.T, c *changeover) {
			c.begin(false, "2probe")
			half := c.world.begin("POST /socket.io/?" + c.query + " HTTP/1.1\r\nHost: server\r\nContent-Length: 3\r\n\r\n4")
			defer half.Close()
			end(c)
			half.Write([]byte("ab"))
			c.ws.Say("5")
			expect(t, "candidate", strings.Join(c.restOfWebSocket(), "|"), "4last|"+string(reason))
		})
	}
}

// Who neither polls nor goes on with the upgrade is waited for no longer than the
// bounds of a close allow.
func TestCloseDuringUpgradeEnds(t *testing.T) {
	for reason, within := range map[Reason]time.Duration{
		ReasonForcedServer: lastPollWait, ReasonShutdown: shutdownWait, ReasonSlowConsumer: closeWait, ReasonConnectTimeout: closeWait, ReasonTransportClose: overtakenPollWait,
		ReasonParseError: 0, ReasonPendingLimit: 0,
	} {
		t.Run(string(reason), func(t *testing.T) {
			inBubble(t, Options{UpgradeTimeout: time.Minute}, func(w *world) {
				w.t = t
				c := &changeover{world: w}
				c.begin(false, "2probe")
				if reason == ReasonShutdown {
					go w.server.Shutdown(context.Background())
				} else {
					c.session.Close(reason)
				}
				time.Sleep(within)
				synctest.Wait()
				expect(t, "sessions", len(w.server.all()), 0)
				expect(t, "candidate", strings.Join(c.restOfWebSocket(), "|"), "cut")
			})
		})
	}
}
