package engineio

import (
	"maps"
	"strings"
	"testing"
	"testing/synctest"
)

// everything is counted by what it is and how it came or went, from the first packet
// of a session to its last.
func TestStats(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		q, h := w.open()
		expect(t, "post", w.do("POST", q, payload("4héllo", "bAQID")).status, 200)
		h.session.Send(Text([]byte("text")), Binary([]byte{1, 2}))
		expect(t, "poll", w.do("GET", q, "").body, payload("4text", "bAQI="))
		st := w.server.Stats()
		expect(t, "sessions", st.Sessions[transportPolling], 1)

		c := w.dial(strings.Replace(q, "polling", "websocket", 1))
		c.Say("2probe")
		expect(t, "probe", c.Next(), "3probe")
		expect(t, "last poll", w.do("GET", q, "").body, "6")
		c.Say("5")
		h.session.Send(Text([]byte("over the websocket")))
		expect(t, "event", c.Next(), "4over the websocket")
		c.Say("4hello")
		c.Say("1")
		synctest.Wait()
		c.Close()
		synctest.Wait()

		st = w.server.Stats()
		expect(t, "opened", st.Opened[transportPolling], 1)
		expect(t, "upgrades", st.Upgrades[transportWebSocket], 1)
		expect(t, "failed upgrades", st.FailedUpgrades, 0)
		expect(t, "waiting bytes", st.Queued, 0)
		want := map[string]uint64{}
		for _, reason := range Reasons {
			want[reason] = 0 // a rate needs a first value
		}
		want[string(ReasonTransportClose)] = 1
		if !maps.Equal(st.Closed, want) {
			t.Errorf("closed: got %v, want %v", st.Closed, want)
		}
		compareTraffic(t, "received", st.Received,
			Traffic{"polling", "message", 2, 7 + 3},
			Traffic{"websocket", "close", 1, 1},
			Traffic{"websocket", "ping", 1, 6},
			Traffic{"websocket", "message", 1, 6},
			Traffic{"websocket", "upgrade", 1, 1},
		)
		open := st.Sent[0]
		expect(t, "open packet", open.Transport+" "+open.Type, "polling open")
		expect(t, "open packets", open.Packets, 1)
		compareTraffic(t, "sent", st.Sent[1:],
			Traffic{"polling", "message", 2, 5 + 2},
			Traffic{"polling", "noop", 1, 1},
			Traffic{"websocket", "pong", 1, 6},
			Traffic{"websocket", "message", 1, 19},
		)
	})
}

func compareTraffic(t *testing.T, what string, got []Traffic, want ...Traffic) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			t.Errorf("%s: lacks %v", what, want[i])
		case i >= len(want):
			t.Errorf("%s: %v too much", what, got[i])
		case got[i] != want[i]:
			t.Errorf("%s: got %v, want %v", what, got[i], want[i])
		}
	}
}

// What waits is summed up, and the largest queue is told.
func TestStatsOfQueues(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		for _, n := range []int{10, 30} {
			_, h := w.open()
			h.session.Send(Text(make([]byte, n)))
		}
		st := w.server.Stats()
		if more := st.Queued - 40; more < 2 || more > 20 { // types and frames
			t.Errorf("%d bytes of 40 wait", st.Queued)
		}
		if more := st.LargestQueue - 30; more < 1 || more > 10 {
			t.Errorf("%d bytes of 30 wait for one session", st.LargestQueue)
		}
	})
}
