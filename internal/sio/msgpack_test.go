package sio

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio/parser"
	"github.com/fanoutd/fanoutd/internal/sio/room"
	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

// packedWS is a client that speaks MessagePack; the test reads and writes the
// same packets as JSON text.
type packedWS struct {
	*wiretest.WS
	t *testing.T
}

func (w *world) dialPacked() packedWS {
	w.t.Helper()
	c := packedWS{w.listener.MustDialWS(w.t, "EIO=4&transport=websocket"), w.t}
	c.WS.Next() // open
	return c
}

func (w *world) connectPacked(namespace string) (packedWS, string) {
	w.t.Helper()
	c := w.dialPacked()
	return c, c.join(namespace)
}

func (c packedWS) join(namespace string) string {
	c.t.Helper()
	head := "0"
	if namespace != "" {
		head += namespace + ","
	}
	c.say(head)
	reply := c.next()
	id := strings.TrimSuffix(strings.TrimPrefix(reply, head+`{"sid":"`), `"}`)
	if len(id) != 20 {
		c.t.Fatalf("CONNECT answered %q", reply)
	}
	return id
}

func (c packedWS) say(text string, attachments ...string) {
	c.t.Helper()
	d := parser.NewDecoder(parser.Limits{})
	p, err := d.Text([]byte(text))
	for _, a := range attachments {
		p, err = d.Binary([]byte(a))
	}
	if err != nil || p == nil {
		c.t.Fatalf("%s: %v, %v", text, p, err)
	}
	b, err := parser.AppendMessagePack(nil, p)
	if err != nil {
		c.t.Fatal(err)
	}
	c.SayBinary(string(b))
}

func (c packedWS) next() string {
	c.t.Helper()
	m := c.WS.Next()
	b, ok := strings.CutPrefix(m, "binary:")
	if !ok {
		return "text:" + m
	}
	p, err := parser.NewDecoder(parser.Limits{}).Binary([]byte(b))
	if err != nil {
		c.t.Fatalf("%x: %v", b, err)
	}
	text := string(parser.AppendText(nil, p))
	for _, a := range p.Attachments {
		text += fmt.Sprintf(" %q", a)
	}
	return text
}

func TestMessagePack(t *testing.T) {
	inBubble(t, Options{Namespaces: []string{"/", "/chat"}}, func(w *world) {
		c, id := w.connectPacked("")
		c.join("/chat")
		text, _ := w.connect("")
		w.clearHeard()

		c.say(`2["hi",{"b":1,"a":9007199254740993}]`)
		c.say(`51-7["bin",{"_placeholder":true,"num":0}]`, "\x01\x02")
		c.say(`2/chat,12["echo",1,"two"]`)
		expect(t, "ack", c.next(), `3/chat,12[1,"two"]`)
		c.say(`51-13["echo",{"_placeholder":true,"num":0}]`, "\x03")
		expect(t, "binary ack", c.next(), `61-13[{"_placeholder":true,"num":0}] "\x03"`)
		synctest.Wait()
		expect(t, "heard", strings.Join(w.backend.take(), "; "), strings.Join([]string{
			`event / hi [{"b":1,"a":9007199254740993}] [] false 0`,
			`event / bin [{"_placeholder":true,"num":0}] ["\x01\x02"] true 7`,
			`event /chat echo [1,"two"] [] true 12`,
			`event / echo [{"_placeholder":true,"num":0}] ["\x03"] true 13`,
		}, "; "))

		// One emit for clients of both kinds.
		bin := Emit{To: everybody, Event: "bin", Args: []byte(`[{"_placeholder":true,"num":0},{"z":1,"a":2}]`), Attachments: [][]byte{{1, 2}}}
		expect(t, "emit", w.apply(bin), 2)
		expect(t, "packed", c.next(), `51-["bin",{"_placeholder":true,"num":0},{"z":1,"a":2}] "\x01\x02"`)
		expect(t, "text", text.Next(), `451-["bin",{"_placeholder":true,"num":0},{"z":1,"a":2}]`)
		expect(t, "its attachment", text.Next(), "binary:\x01\x02")
		expect(t, "emit to one", w.apply(Emit{To: to(room.Selector{IDs: []string{id}}), Event: "x"}), 1)
		expect(t, "packed", c.next(), `2["x"]`)

		ask := w.ask(context.Background(), AckRequest{Timeout: time.Minute})
		expect(t, "question", c.next(), `21["ask"]`)
		expect(t, "question", text.Next(), `421["ask"]`)
		c.say(`31["yes"]`)
		text.Say(`431["no"]`)
		w.ended(ask, AckSummary{Expected: 2, Answered: 2})

		c.say("1/chat,")
		w.apply(Disconnect{To: to(room.Selector{IDs: []string{id}})})
		expect(t, "end", c.next(), "1")
		w.backend.refuse = &Refusal{Message: "no", Data: []byte(`{"code":7}`)}
		c.say("0")
		expect(t, "refusal", c.next(), `4{"message":"no","data":{"code":7}}`)
		w.backend.refuse = &Refusal{Message: "no", Data: []byte(`{"code":`)}
		c.say("0")
		expect(t, "refusal with data that is no JSON", c.next(), `4{"message":"no"}`)
		c.Close()
		text.Close()
	})
}

// What opens a session as MessagePack stays MessagePack, and is a mistake if it
// is none.
func TestMessagePackMistakes(t *testing.T) {
	for name, do := range map[string]func(c packedWS){
		"no packet":       func(c packedWS) { c.join(""); c.SayBinary("\x01") },
		"text afterwards": func(c packedWS) { c.join(""); c.Say(`42["x"]`) },
		"eleven buffers": func(c packedWS) {
			c.join("")
			c.SayBinary("\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x9c\xa1a" + strings.Repeat("\xc4\x00", 11))
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, Options{}, func(w *world) {
				c := w.dialPacked()
				c.t = w.t
				do(c)
				c.MustClose(1002, "parse error")
			})
		})
	}
	inBubble(t, Options{}, func(w *world) { // a namespace that no text packet could name
		c := w.dialPacked()
		b, _ := parser.AppendMessagePack(nil, &parser.Packet{Type: parser.Connect, Namespace: "a,b"})
		c.SayBinary(string(b))
		if got := c.next(); !strings.Contains(got, "Invalid namespace") {
			t.Errorf("got %s", got)
		}
		c.Close()
	})
}

// An emit is encoded as the members of its namespace read it.
func TestEncodedAsRead(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		n := w.namespaces.find("/")
		encoded := func(sel room.Selector) string {
			t.Helper()
			made := ""
			err := n.deliver(n.outgoing(&Emit{Event: "x", Args: []byte("[1]")}), sel, func(msgs *messages) {
				made = fmt.Sprint(msgs[parser.JSON] != nil, msgs[parser.MessagePack] != nil)
			})
			if err != nil {
				t.Fatal(err)
			}
			return made
		}
		all := room.Selector{All: true}
		expect(t, "nobody there", encoded(all), "true false")
		packed, idPacked := w.connectPacked("")
		expect(t, "only MessagePack there", encoded(all), "false true")
		text, idText := w.connect("")
		expect(t, "both", encoded(all), "true true")
		// An encoding that fails matters to those who read it.
		broken := Emit{Event: "x", Args: []byte("[1,}")} // text embeds it as it is
		for id, fails := range map[string]bool{idPacked: true, idText: false} {
			broken.To = to(room.Selector{IDs: []string{id}})
			if _, err := w.Apply(context.Background(), broken); (err != nil) != fails {
				t.Errorf("broken arguments, to MessagePack %v: %v", fails, err)
			}
		}
		packed.Close()
		synctest.Wait()
		expect(t, "only JSON there", encoded(all), "true false")

		packed, _ = w.connectPacked("")
		_, err := w.Apply(context.Background(), event("broken", `[1,}`))
		if err == nil || errors.Is(err, ErrTooLarge) {
			t.Errorf("arguments that are no JSON: %v", err)
		}
		packed.Close()
		text.Close()
	})
}

// Clients of both kinds come and go under emits: each sees the events of its
// time in order.
func TestMessagePackChurn(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		var clients, emitter sync.WaitGroup
		stop := make(chan struct{})
		emitter.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
					w.apply(event("n", fmt.Sprintf("[%d]", i)))
				}
			}
		})
		for i := range 6 {
			clients.Go(func() {
				for range 10 {
					var next func() string
					var end func() error
					if i%2 == 0 {
						c, _ := w.connect("")
						next, end = func() string { return strings.TrimPrefix(c.Next(), "4") }, c.Close
					} else {
						c, _ := w.connectPacked("")
						next, end = c.next, c.Close
					}
					last := -1
					for range 20 {
						var n int
						if _, err := fmt.Sscanf(next(), `2["n",%d]`, &n); err != nil {
							t.Errorf("%v", err)
						} else if last >= 0 && n != last+1 {
							t.Errorf("event %d follows %d", n, last)
						}
						last = n
					}
					end()
				}
			})
		}
		clients.Wait()
		close(stop)
		emitter.Wait()
	})
}
