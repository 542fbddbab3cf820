package sio

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio/room"
)

// changes is a ChangeListener that writes down what it hears.
type changes struct {
	mu    sync.Mutex
	names map[string]string // of ids
	heard []string
}

func (*changes) Listens() bool { return true }

func (r *changes) Changed(c *Change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	kind := [...]string{"added", "removed", "joined", "left", "updated"}[c.Kind]
	id := c.Socket.ID()
	if r.names[id] == "" {
		r.names[id] = string(rune('a' + len(r.names)))
	}
	text := fmt.Sprint(kind, " ", r.names[id], c.Socket.Namespace(), " ", strings.Join(c.Rooms, ","), c.Reason)
	if c.By != "" {
		text += " by " + string(c.By)
	}
	r.heard = append(r.heard, text)
}

func (r *changes) take() string {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	heard := strings.Join(r.heard, "; ")
	r.heard = nil
	return heard
}

func TestChangesAreTold(t *testing.T) {
	heard := &changes{names: map[string]string{}}
	inBubble(t, Options{Namespaces: []string{"/", "/x"}, ChangeListener: heard}, func(w *world) {
		a, idA := w.connect("")
		a.Idle()
		b, idB := w.connect("")
		expect(t, "connects", heard.take(), "added a/ ; added b/ ")
		ids := func(ids ...string) Target { return to(room.Selector{IDs: ids}) }
		changes := []struct {
			name string
			op   Op
			want string
		}{
			{"a join", Join{ids(idA), []string{"r", "s"}, "me"}, "joined a/ r,s by me"},
			{"a join of some", Join{ids(idA), []string{"s", "t", "t", "u"}, ""}, "joined a/ t,u"},
			{"a join of none", Join{ids(idA), []string{"r", "s"}, "me"}, ""},
			{"a join of one of two", Join{ids(idA, idB), []string{"r"}, "me"}, "joined b/ r by me"},
			{"a leave", Leave{ids(idA), []string{"r", "none", "s"}, "me"}, "left a/ r,s by me"},
			{"a leave of none", Leave{ids(idA), []string{"r"}, "me"}, ""},
			{"data", Update{"/", idA, Changes{Data: map[string]any{"k": 1}, By: "me"}}, "updated a/  by me"},
			{"no data", Update{"/", idA, Changes{By: "me"}}, ""},
			{"a time", Update{"/", idA, Changes{Expire: time.Now().Add(time.Hour)}}, "updated a/ "},
			{"no time", Update{"/", idA, Changes{Lasting: true}}, "updated a/ "},
			{"still no time", Update{"/", idA, Changes{Lasting: true}}, ""},
			{"an emit", event("e", ""), ""},
			{"an end", Disconnect{To: ids(idA), By: "me"}, "removed a/ server namespace disconnect by me"},
			{"no end", Disconnect{To: ids(idA), By: "me"}, ""},
		}
		for _, c := range changes {
			if _, err := w.Apply(t.Context(), c.op); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			expect(t, c.name, heard.take(), c.want)
		}
		b.Next() // the event
		b.Join("/x")
		expect(t, "another namespace", heard.take(), "added c/x ")
		b.Idle()
		w.apply(Disconnect{To: ids(idB), Mode: DisconnectSession, By: "me"})
		expect(t, "the end of a session", heard.take(), "removed b/ server namespace disconnect by me; removed c/x server namespace disconnect by me")
		a.Close()
		b.Close()
	})
}

// Added is told when the connection is what it was.
func TestReturnIsTold(t *testing.T) {
	heard := &changes{names: map[string]string{}}
	opts := recovering
	opts.ChangeListener = heard
	inBubble(t, opts, func(w *world) {
		r := w.returner("")
		w.apply(Join{To: everybody, Rooms: []string{"r"}})
		w.emit(all, "e")
		r.next()
		r.cut()
		expect(t, "before", heard.take(), "added a/ ; joined a/ r; removed a/ transport close")
		r.back(true)
		expect(t, "the return", heard.take(), "added a/ ")
		r.Close()
	})
}
