package backend

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// keeper notes what it is told of whose connections are.
func keeper(client *Client, name string, heard *notes, o ConsumerOptions) *Consumer {
	o.Group, o.ID = "g", name
	c := client.Consumer(o)
	c.OnAssigned(func(_ context.Context, a *Assigned) {
		heard.add(fmt.Sprint(name, " owns ", a.Connection.GetId() == a.ID && a.Namespace == "/" && a.Connection.GetHandshake().GetUrl() != ""))
	})
	c.OnReleased(func(conn Conn) { heard.add(name + " released " + conn.Namespace) })
	return c
}

// hears adds handlers that note what they handle.
func hears(c *Consumer, name string, heard *notes) *Consumer {
	c.OnConnect(func(context.Context, *Event) error { heard.add(name + " connect"); return nil })
	c.OnDisconnect(func(context.Context, *Event) error { heard.add(name + " disconnect"); return nil })
	c.On("n", func(_ context.Context, e *Event) (Reply, error) {
		heard.add(name + " " + e.Args.JSON())
		return nil, nil
	})
	return c
}

// TestAssignments: a connection is told to be owned before anything that it does, and to be
// owned no more after that, however its time here ends.
func TestAssignments(t *testing.T) {
	inBubble(t, func(w *world) {
		client := w.dial()
		defer client.Close()
		var heard notes
		b, _ := w.connect()
		b.Idle()
		stop := w.start(hears(keeper(client, "a", &heard, ConsumerOptions{}), "a", &heard))
		expect(t, "at the start", heard.take(), "a owns true; a connect")
		b.Say(`42["n",1]`)
		expect(t, "an event", heard.take(), "a [1]")
		for owner, want := range map[string]int{"a": 1, "b": 0} {
			emit, err := NewEmit(All().OwnedBy("g", owner), "e")
			if err != nil {
				t.Fatal(err)
			}
			emit.Wait = fanoutv1.EmitRequest_APPLIED
			if reached, err := client.Send(w.t.Context(), emit); err != nil || reached.Count != want {
				t.Errorf("an emit to those of %s: %v, %v", owner, reached, err)
			}
		}

		w.cut()
		time.Sleep(time.Minute)
		expect(t, "after a lost stream", heard.take(), "a released /; a owns true")

		second := w.start(hears(keeper(client, "b", &heard, ConsumerOptions{}), "b", &heard))
		stop()
		time.Sleep(time.Second)
		told := strings.Split(heard.take(), "; ") // the one may be told before the other
		slices.Sort(told)
		expect(t, "after a handover", strings.Join(told, "; "), "a released /; b owns true")

		b.Close()
		expect(t, "after its end", heard.take(), "b disconnect; b released /")
		second()
		expect(t, "in the end", heard.take(), "")
	})
}

// TestChanged: a consumer hears what others change of its connections, and not what it
// changes itself.
func TestChanged(t *testing.T) {
	inBubble(t, func(w *world) {
		client := w.dial()
		defer client.Close()
		var heard notes
		c := keeper(client, "a", &heard, ConsumerOptions{})
		c.OnChanged(func(_ context.Context, a *Assigned) {
			heard.add(fmt.Sprint("changed: ", a.UserID, a.Connection.GetDataJson(), len(a.Connection.GetRooms())))
		})
		c.OnDisconnect(func(_ context.Context, e *Event) error { heard.add("disconnect of " + e.UserID); return nil })
		stop := w.start(c)
		b, id := w.connect()
		b.Idle()
		expect(t, "it comes", heard.take(), "a owns true")
		own := c.Commands(w.t.Context())
		answered(w.t, own.Join(IDs(id), "r"))
		time.Sleep(time.Second)
		expect(t, "its own", heard.take(), "")
		if err := own.Close(); err != nil {
			t.Error(err)
		}
		ada := "ada"
		if _, err := client.Update(w.t.Context(), IDs(id), Update{User: &ada, Data: map[string]any{"a": 1}}); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		expect(t, "another's", heard.take(), `changed: ada{"a":1}2`)
		b.Close()
		time.Sleep(time.Second)
		expect(t, "its end", heard.take(), "disconnect of ada; a released /")
		stop()
	})
}

// TestAssignmentsAlone: who hears nothing of a connection but that it is owned hears of its
// end by that too.
func TestAssignmentsAlone(t *testing.T) {
	inBubble(t, func(w *world) {
		client := w.dial()
		defer client.Close()
		var heard notes
		stop := w.start(keeper(client, "a", &heard, ConsumerOptions{}))
		b, _ := w.connect()
		b.Idle()
		expect(t, "it comes", heard.take(), "a owns true")
		b.Close()
		expect(t, "it goes", heard.take(), "a released /")
		c, _ := w.connect()
		c.Idle()
		synctest.Wait()
		stop()
		expect(t, "in the end", heard.take(), "a owns true; a released /")
		c.Close()
	})
}

// TestReleaseWaits: a connection that moves while a handler is at it is released when that
// has returned, and so is one whose end was not handled in time.
func TestReleaseWaits(t *testing.T) {
	inBubble(t, func(w *world) {
		client := w.dial()
		defer client.Close()
		var heard notes
		c := keeper(client, "a", &heard, ConsumerOptions{AckWait: time.Second})
		c.On("n", func(ctx context.Context, e *Event) (Reply, error) {
			heard.add(fmt.Sprint("begins ", e.Attempt))
			if e.Attempt == 1 {
				w.cut()
				time.Sleep(time.Minute)
			}
			heard.add(fmt.Sprint("ends ", e.Attempt))
			return nil, nil
		})
		c.OnDisconnect(func(context.Context, *Event) error { heard.add("disconnect"); return nil })
		stop := w.start(c)
		b, _ := w.connect()
		b.Idle()
		b.Say(`42["n"]`)
		synctest.Wait()
		b.Close()
		time.Sleep(2 * time.Minute)
		expect(t, "heard", heard.take(), "a owns true; begins 1; ends 1; a released /; a owns true; disconnect; a released /")
		stop()
	})
}

// TestAssignmentPanics: a handler that panics is logged, and the connection goes on.
func TestAssignmentPanics(t *testing.T) {
	inBubble(t, func(w *world) {
		client := w.dial()
		defer client.Close()
		var heard notes
		c := client.Consumer(ConsumerOptions{Group: "g"})
		c.OnAssigned(func(context.Context, *Assigned) { panic("oops") })
		hears(c, "a", &heard)
		stop := w.start(c)
		b, _ := w.connect()
		b.Say(`42["n",1]`)
		expect(t, "heard", heard.take(), "a connect; a [1]")
		b.Close()
		stop()
		if log := w.log.String(); !strings.Contains(log, "a handler of assignments failed") {
			t.Errorf("the log: %s", log)
		}
	})
}
