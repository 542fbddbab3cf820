package control

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"google.golang.org/protobuf/proto"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// What waits for a consumer comes together, in order, in messages of a bounded
// size, and what is larger than that alone.
func TestConsumeBatches(t *testing.T) {
	half, most := strings.Repeat("x", 500_000), strings.Repeat("x", 990_000)
	for _, tt := range []struct {
		name string
		say  []string
		want []int // events of each message
	}{
		{"small ones", slices.Repeat([]string{`42["n",1]`}, 100), []int{100}},
		{"no third half", slices.Repeat([]string{`42["n","` + half + `"]`}, 3), []int{2, 1}},
		{"one that nearly fills a message", []string{`42["n","` + most + `"]`, `42["n","` + half + `"]`, `42["n",1]`}, []int{1, 2}},
		{"one beyond the bound", []string{`42["n",1]`, `452-["n",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`, "binary:" + most, "binary:" + half, `42["n",2]`}, []int{1, 1, 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, dispatch.Options{QueueBytes: 64 << 20}, func(w *world) {
				c, _ := w.connect("")
				before := w.consume(&fanoutv1.ConsumeRequest_Open{})
				c.Say(`42["n",0]`)
				first := before.event(`MESSAGE / n[0]`)
				before.say(acking(first.GetDeliveryId()))
				before.quiet()
				before.cancel() // what follows waits for the next
				synctest.Wait()
				binaries := 0 // that belong to what was said before
				for _, s := range tt.say {
					if binary, ok := strings.CutPrefix(s, "binary:"); ok {
						c.SayBinary(binary)
						binaries++
					} else {
						c.Say(s)
					}
				}
				synctest.Wait() // all has been read
				k := w.consume(&fanoutv1.ConsumeRequest_Open{})
				sequence := first.GetSequence()
				var got []int
				for last := first.GetSequence() + uint64(len(tt.say)-binaries); sequence < last; {
					m := k.get()
					events := m.GetEvents().GetEvents()
					if len(events) == 0 {
						t.Fatalf("got %v, want events", m)
					}
					got = append(got, len(events))
					if size := proto.Size(m); len(events) > 1 && size > maxBatchBytes+16 {
						t.Errorf("%d events in a message of %d bytes", len(events), size)
					}
					for _, e := range events {
						if sequence++; e.GetSequence() != sequence {
							t.Errorf("got event %d, want %d", e.GetSequence(), sequence)
						}
					}
				}
				// From another node they come as they arrive.
				if !w.apart && !slices.Equal(got, tt.want) {
					t.Errorf("got messages of %v events, want %v", got, tt.want)
				}
				k.quiet()
			})
		})
	}
}

// TestEventsGoBeforeTheirConnection: what does not fit with the connection is told
// without it, rather than not at all.
func TestEventsGoBeforeTheirConnection(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		k := w.consume(&fanoutv1.ConsumeRequest_Open{Lifecycle: true, MaxMessageBytes: minMessageBytes})
		c, id := w.connect("")
		k.event("CONNECTED /")
		data := `{"x":"` + strings.Repeat("x", sio.MaxData-len(`{"x":""}`)) + `"}` // with the rest of the event more than fits
		if _, err := fanoutv1.NewRegistryServiceClient(w.conn).UpdateConnection(w.ctx(), &fanoutv1.UpdateConnectionRequest{Id: id, DataJson: data}); err != nil {
			t.Fatal(err)
		}
		c.Say(`42["a",{]`)
		gone := k.event("DISCONNECTED / parse error")
		if gone.GetConnection() != nil || gone.GetCause() != fanoutv1.Event_PROTOCOL || !strings.Contains(gone.GetDetail(), "JSON") {
			t.Errorf("the end: %v", gone)
		}
		c.Close()
	})
}

// What was taken for a message and did not fit into it has been delivered: it comes
// before the word that it is taken back, and before the last word, however long the
// message before it takes.
func TestLeftOverComesBeforeWords(t *testing.T) {
	tests := []struct {
		name string
		say  func(m1 string) *fanoutv1.ConsumeRequest
		want string
	}{
		{"nack", func(m1 string) *fanoutv1.ConsumeRequest { return nacking(m1) }, "y1#1 | y2#1 | m2#1 | cancelled 2 | m1#2 m2#2"},
		{"leave", func(string) *fanoutv1.ConsumeRequest { return leaving }, "y1#1 | y2#1 | m2#1 | draining"},
	}
	big := func(name string, size int) string { return `42["` + name + `","` + strings.Repeat("x", size) + `"]` }
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, dispatch.Options{QueueBytes: 64 << 20}, func(w *world) {
				k := w.consume(&fanoutv1.ConsumeRequest_Open{})
				x, _ := w.connect("")
				y, _ := w.connect("")
				x.Idle()
				y.Idle()
				x.Say(`42["m1"]`)
				m1 := k.event("MESSAGE / m1[]").GetDeliveryId()
				for _, name := range []string{"y0", "y1", "y2"} { // until the stream is full
					y.Say(big(name, 990_000))
					synctest.Wait()
				}
				x.Say(big("m2", 200_000))
				synctest.Wait()
				k.next() // y0; what follows is on its way
				synctest.Wait()
				k.say(tt.say(m1))
				synctest.Wait()
				var got []string
				for words(got...) < words(tt.want) {
					got = append(got, outline(k.get()))
				}
				if w.apart { // where they come as they arrive, in messages of any size
					got = []string{strings.Join(got, " ")}
					tt.want = strings.ReplaceAll(tt.want, " |", "")
				}
				if got := strings.Join(got, " | "); got != tt.want {
					t.Errorf("got %s, want %s", got, tt.want)
				}
				x.Close()
				y.Close()
			})
		})
	}
}

// words returns how many words there are in outlines.
func words(outlines ...string) int {
	return len(strings.Fields(strings.ReplaceAll(strings.Join(outlines, " "), "|", "")))
}

// outline names what a message holds.
func outline(m *fanoutv1.ConsumeResponse) string {
	switch r := m.GetResponse().(type) {
	case *fanoutv1.ConsumeResponse_Events_:
		var names []string
		for _, e := range r.Events.GetEvents() {
			names = append(names, fmt.Sprintf("%s#%d", e.GetEvent(), e.GetAttempt()))
		}
		return strings.Join(names, " ")
	case *fanoutv1.ConsumeResponse_Cancelled_:
		return fmt.Sprintf("cancelled %d", len(r.Cancelled.GetDeliveryIds()))
	case *fanoutv1.ConsumeResponse_Draining_:
		return "draining"
	}
	return fmt.Sprintf("%T", m.GetResponse())
}
