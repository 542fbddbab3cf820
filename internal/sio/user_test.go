package sio

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/fanoutd/fanoutd/internal/sio/room"
	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

func changeUser(user string) Changes { return Changes{User: &user} }

// usersOf returns the users of the default namespace.
func (w *world) usersOf() string {
	w.t.Helper()
	page, err := w.Users(context.Background(), "/", "", "", 100)
	must(w.t, err)
	var all []string
	for _, u := range page.Names {
		all = append(all, fmt.Sprint(u.Name, ":", u.Connections))
	}
	return strings.Join(all, " ")
}

func TestChangeOfUser(t *testing.T) {
	heard := &changes{names: map[string]string{}}
	inBubble(t, Options{ChangeListener: heard}, func(w *world) {
		w.backend.admit = Admission{User: "a"}
		first, idA := w.connect("")
		w.backend.admit = Admission{}
		second, idB := w.connect("")
		heard.take()
		for _, tt := range []struct {
			name    string
			op      Op
			matched int
			users   string
			told    string
		}{
			{"a login", Update{"/", idB, Changes{User: ptr("b"), By: "me"}}, 1, "a:1 b:1", "updated b/  by me"},
			{"the same once more", Update{"/", idB, changeUser("b")}, 1, "a:1 b:1", ""},
			{"all as one", UpdateAll{everybody, changeUser("b")}, 2, "b:2", "updated a/ "},
			{"another user", Update{"/", idA, Changes{User: ptr("c"), Data: map[string]any{"k": 1}}}, 1, "b:1 c:1", "updated a/ "},
			{"of whom nobody is", UpdateAll{to(room.Selector{Users: []string{"a"}}), changeUser("x")}, 0, "b:1 c:1", ""},
			{"a logout", UpdateAll{to(room.Selector{Users: []string{"b", "c"}}), changeUser("")}, 2, "", "updated a/ ; updated b/ "},
			{"and in again", UpdateAll{to(room.Selector{IDs: []string{idA}}), changeUser("a")}, 1, "a:1", "updated a/ "},
		} {
			expect(t, tt.name+": matched", w.apply(tt.op), tt.matched)
			expect(t, tt.name+": users", w.usersOf(), tt.users)
			told := strings.Split(heard.take(), "; ")
			slices.Sort(told)
			expect(t, tt.name+": told", strings.Join(told, "; "), tt.told)
		}
		w.emit(room.Selector{Users: []string{"a"}}, "hello")
		expect(t, "the first gets", first.Next(), `42["hello"]`)
		second.Idle()
		if _, err := w.Apply(t.Context(), Update{"/", "nope", changeUser("a")}); !errors.Is(err, ErrNotFound) {
			t.Errorf("an unknown id: %v", err)
		}
		v := w.view(idA)
		expect(t, "user and data", fmt.Sprint(v.UserID, v.Data), "amap[k:1]")
		var last string
		w.backend.ended = func(s *Socket, _ End) {
			user, known := s.User()
			last = fmt.Sprintln(user, known, s.Connection().UserID)
		}
		first.Close()
		synctest.Wait()
		expect(t, "at its end", last, "a true a\n")
		expect(t, "users", w.usersOf(), "")
		second.Close()
	})
}

func ptr(s string) *string { return &s }

// TestChangeOfUserIsAllOrNothing: what is refused for its data changes no user either.
func TestChangeOfUserIsAllOrNothing(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		w.backend.admit = Admission{User: "a"}
		c, _ := w.connect("")
		w.backend.admit.Data = map[string]any{"k": strings.Repeat("x", MaxData-100)}
		full, _ := w.connect("")
		_, err := w.Apply(t.Context(), UpdateAll{everybody, Changes{User: ptr("b"), Data: map[string]any{"more": strings.Repeat("x", 200)}}})
		if !errors.Is(err, ErrTooMuchData) {
			t.Errorf("got %v", err)
		}
		expect(t, "users", w.usersOf(), "a:2")
		c.Close()
		full.Close()
	})
}

// TestReturnAfterLogin: a client comes back if it is admitted as before, or as who its
// connection has become, and the connection stays that user's.
func TestReturnAfterLogin(t *testing.T) {
	for _, tt := range []struct {
		admitted, becomes, returns string
		recovered                  bool
		user                       string // then
	}{
		{"", "42", "", true, "42"},
		{"", "42", "42", true, "42"},
		{"", "42", "43", false, "43"},
		{"42", "", "42", true, ""}, // it has logged out, and stays so
		{"42", "", "", true, ""},
		{"42", "43", "42", true, "43"},
	} {
		t.Run(fmt.Sprintf("%q, %q, %q", tt.admitted, tt.becomes, tt.returns), func(t *testing.T) {
			inBubble(t, recovering, func(w *world) {
				w.backend.admit = Admission{User: tt.admitted}
				r := w.returner("")
				w.apply(Update{"/", r.id, changeUser(tt.becomes)})
				r.cut()
				var missed []string
				for _, user := range []string{"42", "43"} {
					w.emit(room.Selector{Users: []string{user}}, "for "+user)
					if user == tt.becomes && tt.recovered {
						missed = append(missed, "for "+user)
					}
				}
				w.backend.admit = Admission{User: tt.returns}
				r.back(tt.recovered, missed...)
				v := w.view(r.id)
				expect(t, "user", v.UserID, tt.user)
				if !tt.recovered {
					expect(t, "why not", v.Recovery, RecoveryOtherUser)
				}
				r.cut()
				r.back(true) // once more
				expect(t, "user", w.view(r.id).UserID, tt.user)
				r.Close()
			})
		})
	}
}

// TestReturnAfterLoginUnderWay: an event that was on its way when the user changed may have
// been meant for the one or the other.
func TestReturnAfterLoginUnderWay(t *testing.T) {
	inBubble(t, recovering, func(w *world) {
		r := w.returner("")
		w.emit(all, "read")
		r.next()
		w.emit(all, "not read")
		w.apply(Update{"/", r.id, changeUser("42")})
		r.cut()
		r.back(false)
		expect(t, "why not", w.view(r.id).Recovery, RecoveryUnknownOffset)
		r.Close()
	})
}

// TestLogoutOfWhoIsAway: it is not undone by a return.
func TestLogoutOfWhoIsAway(t *testing.T) {
	for name, sel := range map[string]func(id string) room.Selector{
		"by id":   func(id string) room.Selector { return room.Selector{IDs: []string{id}} },
		"by user": func(string) room.Selector { return room.Selector{Users: []string{"42"}} },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, recovering, func(w *world) {
				r := w.returner("")
				w.apply(Update{"/", r.id, changeUser("42")})
				r.cut()
				expect(t, "matched", w.apply(UpdateAll{to(sel(r.id)), changeUser("")}), 0)
				r.back(false)
				expect(t, "why not", w.view(r.id).Recovery, RecoveryChanged)
				r.cut()
				w.apply(UpdateAll{to(sel(r.id)), Changes{Data: map[string]any{"k": 1}}}) // this is no change of users
				r.back(true)
				r.Close()
			})
		})
	}
}

// TestLoginAsBlocked ends the connection; nor does it come back as the user who is blocked
// since.
func TestLoginAsBlocked(t *testing.T) {
	list := &blockList{users: map[string]bool{"42": true}}
	opts := recovering
	opts.Blocks = list
	inBubble(t, opts, func(w *world) {
		c, id := w.connect("")
		w.clearHeard()
		expect(t, "matched", w.apply(Update{"/", id, changeUser("42")}), 1)
		expect(t, "packet", c.Next(), "41")
		c.MustClose(1000, "forced server close")
		expect(t, "heard", w.heardNow(), "disconnected / server namespace disconnect")

		r := w.returner("")
		w.apply(Update{"/", r.id, changeUser("43")})
		r.cut()
		list.block([]string{"43"}) // and nobody has ended anything yet
		r.WS = w.listener.MustDialWS(t, "EIO=4&transport=websocket")
		r.WS.Next() // open
		r.Say(`40{"pid":"` + r.pid + `"}`)
		if got := r.WS.Next(); !strings.HasPrefix(got, "40") {
			t.Errorf("got %s", got)
		}
		expect(t, "packet", r.WS.Next(), "41")
		r.MustClose(1000, "forced server close")
	})
}

// TestLoginAsBlockedElsewhere: a connection that comes to be a blocked user's ends in its
// namespace, as one does that is to be let in as that user: who may speak for one namespace
// ends nothing in another.
func TestLoginAsBlockedElsewhere(t *testing.T) {
	withBlocks(t, Options{}, func(w *world, list *blockList) {
		id := w.inBoth("", "")
		theirs := w.inBoth("42", "")
		w.clearHeard()
		list.block([]string{"42"}) // and nobody has ended anything yet
		expect(t, "matched", w.apply(UpdateAll{to(room.Selector{IDs: []string{id.id, theirs.id}}), changeUser("42")}), 2)
		expect(t, "packet", id.Next(), "41")
		expect(t, "heard", w.heardNow(), "disconnected / server namespace disconnect")
		w.apply(Emit{To: Target{Namespace: "/chat", Selector: room.Selector{All: true}}, Event: "hello"})
		expect(t, "elsewhere", id.Next(), `42/chat,["hello"]`)
		expect(t, "who was the user before", theirs.Next(), `42/chat,["hello"]`)
		expect(t, "ended by the block", w.EndBlocked([]string{"42"}, nil, "blocked"), 2)
		expect(t, "packet", theirs.Next(), "41")
		expect(t, "packet", theirs.Next(), "41/chat,")
		theirs.MustClose(1000, "forced server close")
		id.Close()
	})
}

// inBoth is a client in "/" and "/chat", with its id in "/".
type inBoth struct {
	*wiretest.WS
	id string
}

func (w *world) inBoth(user, from string) inBoth {
	w.t.Helper()
	c := w.dial(user, from)
	id := c.Join("")
	c.Join("/chat")
	return inBoth{c, id}
}

// TestMoveAfterLogin: another server knows whose a connection is, and was.
func TestMoveAfterLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := serverOf(t, "aaaaa", nil)
		there := &other{Server: a.Server}
		b := serverOf(t, "bbbbb", there)
		r := a.returner("")
		a.apply(Update{"/", r.id, changeUser("42")})
		r.cut()
		a.emit(room.Selector{Users: []string{"42"}}, "1")
		r.w = b
		r.back(true, "1")
		expect(t, "user", b.view(r.id).UserID, "42")
		r.Close()
	})
}
