package sio

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio/room"
)

// TestConnectionAtItsEnd: whatever ends a socket, the backend finds it as it was
// then, and is told what is known of the cause.
func TestConnectionAtItsEnd(t *testing.T) {
	tests := []struct {
		name string
		end  func(w *world, say func(string))
		want string
	}{
		{"the client leaves", func(_ *world, say func(string)) { say("41") }, "client namespace disconnect: "},
		{"it connects again", func(_ *world, say func(string)) { say("40") }, "replaced: "},
		{"a backend", func(w *world, _ func(string)) { w.apply(Disconnect{To: everybody, Reason: "banned"}) },
			"server namespace disconnect: banned"},
		{"a backend, by the transport", func(w *world, _ func(string)) {
			w.apply(Disconnect{To: everybody, Mode: DisconnectTransport, Reason: "moved"})
		},
			"forced server close: moved"},
		{"a broken packet", func(_ *world, say func(string)) { say("42{") }, "parse error: undecodable packet: parser: invalid JSON: it ends too soon"},
		{"a packet of the wrong type", func(_ *world, say func(string)) { say(`44"x"`) }, "parse error: unexpected packet type"},
		{"a namespace that was not joined", func(_ *world, say func(string)) { say(`42/chat,["a"]`) },
			"parse error: packet for a namespace that was not joined"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, Options{Namespaces: []string{"/", "/chat"}}, func(w *world) {
				expiry := time.Now().Add(time.Hour)
				w.backend.admit = Admission{User: "u", Rooms: []string{"granted"}, Data: map[string]any{"a": 1.0}, Expire: expiry}
				var got []string
				w.backend.ended = func(s *Socket, e End) {
					c := s.Connection()
					rooms := []string{}
					for _, name := range c.Rooms {
						if name != c.ID {
							rooms = append(rooms, name)
						}
					}
					got = append(got, fmt.Sprint(e.Reason, ": ", e.Detail))
					expect(t, "connection", fmt.Sprintln(c.UserID, len(c.Rooms), rooms, c.Data, c.Expire.Equal(expiry), c.QueuedBytes, c.Transport),
						"u 3 [granted joined] map[a:1 b:2] true 0 websocket\n")
				}
				c, id := w.connect("")
				w.apply(Join{To: everybody, Rooms: []string{"joined", "left"}})
				w.apply(Leave{To: everybody, Rooms: []string{"left"}})
				w.apply(Update{Namespace: "/", ID: id, Changes: Changes{Data: map[string]any{"b": 2.0}}})
				w.clearHeard()
				tt.end(w, c.Say)
				synctest.Wait()
				expect(t, "ends", fmt.Sprint(got), fmt.Sprint([]string{tt.want}))
				w.backend.ended = nil
				c.Close()
			})
		})
	}
}

// TestDetailsAreBounded: a detail may repeat what somebody wrote.
func TestDetailsAreBounded(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		var detail string
		w.backend.ended = func(_ *Socket, e End) { detail = e.Detail }
		c, id := w.connect("")
		long := make([]byte, 3*maxDetail)
		for i := range long {
			long[i] = "\xc3\xa9"[(i+1)%2]
		}
		w.apply(Disconnect{To: to(room.Selector{IDs: []string{id}}), Reason: string(long)})
		synctest.Wait()
		if len(detail) <= maxDetail-4 || len(detail) > maxDetail || valid(detail) != detail {
			t.Errorf("a detail of %d bytes: %q", len(detail), detail)
		}
		c.Close()
	})
}
