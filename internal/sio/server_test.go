package sio

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio/engineio"
	"github.com/fanoutd/fanoutd/internal/sio/room"
	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

func TestConnect(t *testing.T) {
	inBubble(t, Options{Namespaces: []string{"/", "/chat"}}, func(w *world) {
		c := w.listener.MustDialWS(t, "EIO=4&transport=websocket&token=a&token=b")
		open := c.Next()
		c.Say(`40{"token":"123"}`)
		reply := c.Next()
		id := strings.TrimSuffix(strings.TrimPrefix(reply, `40{"sid":"`), `"}`)
		if len(id) != 20 || strings.Contains(open, id) {
			t.Fatalf("CONNECT answered %q: want a fresh id of its own", reply)
		}
		chat := c.Join("/chat")
		if chat == id {
			t.Error("two namespaces share an id")
		}
		expect(t, "heard", strings.Join(w.backend.take(), "; "),
			`connecting / {"token":"123"}; connected /; connecting /chat ; connected /chat`)

		v, err := w.Connection(context.Background(), "/", id)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, "rooms", strings.Join(v.Rooms, ","), id)
		expect(t, "transport", v.Transport, "websocket")
		expect(t, "query", fmt.Sprint(v.Handshake.Query), "map[EIO:4 token:b transport:websocket]")
		expect(t, "user agent", v.Handshake.Headers["user-agent"], "Go-http-client/1.1")
		c.Close()
	})
}

func TestConnectRefused(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		c := w.listener.MustDialWS(t, "EIO=4&transport=websocket")
		c.Next()
		c.Say("40/nope,{}")
		expect(t, "unknown namespace", c.Next(), `44/nope,{"message":"Invalid namespace"}`)

		w.backend.refuse = &Refusal{Message: "no", Data: []byte(`{"code":7}`)}
		c.Say("40")
		expect(t, "refusal", c.Next(), `44{"message":"no","data":{"code":7}}`)
		w.backend.refuse = errors.New("the database password is wrong")
		c.Say("40")
		expect(t, "an error", c.Next(), `44{"message":"connection refused"}`)
		expect(t, "connections", w.Stats().Connections, 0)
		expect(t, "heard", strings.Join(w.backend.take(), "; "), "connecting / ; connecting / ")

		// The session is as good as new.
		w.backend.refuse = nil
		c.Join("")
		c.Close()
	})
}

func TestConnectTimeout(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		idle := w.listener.MustDialWS(t, "EIO=4&transport=websocket")
		c, _ := w.connect("")
		start := time.Now()
		go func() {
			for c.Next() == "2" {
				c.Say("3")
			}
		}()
		go func() { // answers pings but joins nothing
			time.Sleep(26 * time.Second)
			idle.Say("3")
		}()
		idle.MustClose(1008, "connect timeout")
		expect(t, "after", time.Since(start), DefaultConnectTimeout)
		expect(t, "connections", w.Stats().Connections, 1)
		w.apply(event("end", ""))
	})
}

// A packet whose attachments do not all come in time ends its session; each packet
// has its own time. From one that has joined nothing not even the first is awaited.
func TestAttachmentTimeout(t *testing.T) {
	const text = `451-["x",{"_placeholder":true,"num":0}]`
	const two = `452-["x",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`
	inBubble(t, Options{}, func(w *world) {
		stranger := w.listener.MustDialWS(t, "EIO=4&transport=websocket")
		stranger.Next()
		start := time.Now()
		stranger.Say(text)
		stranger.MustClose(1002, string(engineio.ReasonParseError))
		expect(t, "closed after", time.Since(start), 0)
	})
	inBubble(t, Options{AttachmentTimeout: 10 * time.Second}, func(w *world) {
		c, _ := w.connect("")
		for range 2 {
			c.Say(text)
			time.Sleep(9 * time.Second)
			c.SayBinary("x")
			synctest.Wait()
		}
		expect(t, "received in time", w.Stats().Received, 2)
		start := time.Now()
		c.Say(two)
		time.Sleep(6 * time.Second)
		c.SayBinary("x")
		err := c.Closed() // the other never comes
		if err == nil || !strings.Contains(err.Error(), ReasonAttachmentTimeout) {
			t.Errorf("closed with %v", err)
		}
		expect(t, "closed after", time.Since(start), 10*time.Second)
		expect(t, "received in the end", w.Stats().Received, 2)
	})
}

func TestEvents(t *testing.T) {
	inBubble(t, Options{Namespaces: []string{"/", "/chat"}}, func(w *world) {
		c, _ := w.connect("")
		c.Join("/chat")
		w.clearHeard()
		c.Say(`42["hi",{"b":1,"a":12345678901234567890}]`)
		c.Say(`42/chat,7["hi"]`)
		c.Say(`451-["bin",{"_placeholder":true,"num":0}]`)
		c.SayBinary("\x01\x02")
		c.Say(`4212["echo",1,"two"]`)
		expect(t, "ack", c.Next(), `4312[1,"two"]`)
		c.Say(`451-13["echo",{"_placeholder":true,"num":0}]`)
		c.SayBinary("\x03")
		expect(t, "binary ack", c.Next(), `461-13[{"_placeholder":true,"num":0}]`)
		expect(t, "its attachment", c.Next(), "binary:\x03")
		c.Say(`4399["nobody awaits this"]`)
		synctest.Wait()
		want := []string{
			`event / hi [{"b":1,"a":12345678901234567890}] [] false 0`,
			`event /chat hi [] [] true 7`,
			`event / bin [{"_placeholder":true,"num":0}] ["\x01\x02"] false 0`,
			`event / echo [1,"two"] [] true 12`,
			`event / echo [{"_placeholder":true,"num":0}] ["\x03"] true 13`,
		}
		if got := w.backend.take(); !slices.Equal(got, want) {
			t.Errorf("heard\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		expect(t, "received", w.Stats().Received, 5)
		c.Close()
	})
}

// A browser's mistakes end its session, whatever namespace they are made in.
func TestMistakes(t *testing.T) {
	tests := map[string]string{
		"namespace not joined":   `42/other,["hi"]`,
		"CONNECT_ERROR":          `44{"message":"x"}`,
		"unknown type":           "49",
		"no JSON":                `42[`,
		"reserved event":         `42["disconnect"]`,
		"too many attachments":   `4511-["x"]`,
		"text among attachments": `451-["x",{"_placeholder":true,"num":0}]|42["y"]`,
	}
	for name, say := range tests {
		t.Run(name, func(t *testing.T) {
			inBubble(t, Options{}, func(w *world) {
				c, _ := w.connect("")
				w.clearHeard()
				for s := range strings.SplitSeq(say, "|") {
					c.Say(s)
				}
				c.MustClose(1002, "parse error")
				synctest.Wait()
				expect(t, "heard", strings.Join(w.backend.take(), "; "), "disconnected / parse error")
			})
		})
	}
	t.Run("unexpected binary", func(t *testing.T) {
		inBubble(t, Options{}, func(w *world) {
			c, _ := w.connect("")
			c.SayBinary("x")
			c.MustClose(1002, "parse error")
		})
	})
}

func TestEnds(t *testing.T) {
	tests := []struct {
		name  string
		do    func(*world, *wiretest.WS)
		heard string // by the backend, of the namespaces / and /chat
	}{
		{"client leaves a namespace", func(_ *world, c *wiretest.WS) { c.Say("41/chat,") },
			"disconnected /chat client namespace disconnect"},
		{"client goes", func(_ *world, c *wiretest.WS) { c.Say("1"); c.MustClose(1000, "transport close") },
			"disconnected / transport close; disconnected /chat transport close"},
		{"server ends a namespace", func(w *world, c *wiretest.WS) {
			w.apply(Disconnect{To: everybody})
			expect(t, "packet", c.Next(), "41")
		}, "disconnected / server namespace disconnect"},
		{"server ends the transport", func(w *world, c *wiretest.WS) {
			w.apply(Disconnect{To: everybody, Mode: DisconnectTransport})
			c.MustClose(1000, "forced server close") // and no 41 before
		}, "disconnected / forced server close; disconnected /chat forced server close"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, Options{Namespaces: []string{"/", "/chat"}}, func(w *world) {
				c, _ := w.connect("")
				c.Join("/chat")
				w.clearHeard()
				tt.do(w, c)
				synctest.Wait()
				heard := w.backend.take()
				slices.Sort(heard)
				expect(t, "heard", strings.Join(heard, "; "), tt.heard)
				expect(t, "connections", w.Stats().Connections, 2-len(heard))
				c.Close()
			})
		})
	}
}

// What a client sent before it knew that the server ended its socket is
// ignored; it may join again over the same session.
func TestLateForANamespace(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		c, first := w.connect("")
		expect(t, "matched", w.apply(Disconnect{To: everybody}), 1)
		expect(t, "matched again", w.apply(Disconnect{To: everybody}), 0)
		c.Say(`42["late"]`)
		c.Say("41")
		expect(t, "packet", c.Next(), "41")
		if second := c.Join(""); second == first {
			t.Error("the old id came back")
		}
		heard := w.backend.take()
		if slices.ContainsFunc(heard, func(s string) bool { return strings.HasPrefix(s, "event") }) {
			t.Errorf("heard %q of a socket that had ended", heard)
		}
		expect(t, "emit", w.apply(event("x", "")), 1)
		expect(t, "event", c.Next(), `42["x"]`)
		c.Close()
	})
}

// A backend that blocks holds up that browser only, and not past its end.
func TestBackendBlocks(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		slow, id := w.connect("")
		other, _ := w.connect("")
		slow.Say(`42["block"]`)
		synctest.Wait()
		other.Say(`421["echo"]`)
		expect(t, "other browser", other.Next(), "431[]")
		// Operations do not wait for it either.
		expect(t, "emit", w.apply(event("x", "")), 2)
		expect(t, "event", slow.Next(), `42["x"]`)
		w.clearHeard()
		w.apply(Disconnect{To: to(room.Selector{IDs: []string{id}}), Mode: DisconnectTransport})
		slow.Closed()
		synctest.Wait()
		expect(t, "heard", strings.Join(w.backend.take(), "; "),
			`event / block [] [] false 0; disconnected / forced server close`)
		other.Close()
	})
}

func TestShutdown(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		c, _ := w.connect("")
		go w.Shutdown(context.Background())
		c.MustClose(1001, "server shutting down") // and no 41 before
		synctest.Wait()
		_, err := w.Apply(context.Background(), event("x", ""))
		if !errors.Is(err, ErrClosed) {
			t.Errorf("Apply afterwards: %v, want ErrClosed", err)
		}
		heard := w.backend.take()
		expect(t, "heard last", heard[len(heard)-1], "disconnected / server shutting down")
	})
}

func TestNewServerRefuses(t *testing.T) {
	for name, opts := range map[string]Options{
		"namespace without slash":   {Namespaces: []string{"chat"}},
		"namespace with a comma":    {Namespaces: []string{"/a,b"}},
		"negative connect timeout":  {ConnectTimeout: -1},
		"negative number":           {MaxChildren: -1},
		"no pattern":                {Namespaces: []string{"/**"}},
		"ping interval below 1 ms":  {Engine: engineio.Options{PingInterval: 1}},
		"negative size of payloads": {Engine: engineio.Options{MaxPayload: -1}},
	} {
		if _, err := NewServer(opts); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
