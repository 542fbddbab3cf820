package history

import (
	"strings"
	"testing"
)

// script writes a history call by call.
type script struct{ History }

func (s *script) call(c Call, received ...string) *Call {
	begun := s.Begin(c)
	for _, id := range received {
		s.Received(id, c.Event)
	}
	s.End(begun, func(*Call) {})
	return begun
}

// TestJudge: a history that breaks a promise is found, for what it breaks, and one that
// differs from it by an excuse is not.
func TestJudge(t *testing.T) {
	const away = "n2"
	a := []string{"a"}
	emit := func(event string, c Call) Call {
		c.Event, c.Applied = event, true
		if c.Caller == "" {
			c.Caller = "caller"
		}
		if c.Node == "" {
			c.Node = "n1"
		}
		return c
	}
	toA := func(matched int) Call { return Call{IDs: a, Matched: matched} }
	room := func(matched int) Call { return Call{Rooms: []string{"r"}, Matched: matched} }
	join := Call{Kind: Join, Node: "n1", IDs: a, Rooms: []string{"r"}, Matched: 1}
	user := func(name string, matched int) Call { return Call{Users: []string{name}, Matched: matched} }
	login := func(user string) Call { return Call{Kind: Login, Node: "n1", IDs: a, User: user, Matched: 1} }
	leave := join
	leave.Kind = Leave
	unconfirmed := join
	unconfirmed.Partial, unconfirmed.Unreachable = true, []string{"n1"}
	partial := func(c Call) Call {
		c.Partial, c.Unreachable = true, []string{away}
		return c
	}
	key := func(node string, c Call) Call {
		c = emit("k", c)
		c.Node, c.Caller, c.Key = node, "at "+node, "key"
		return c
	}
	duplicate := func(c Call) Call {
		c.Duplicate = true
		return c
	}
	for name, test := range map[string]struct {
		want string // beginning of the first finding; empty: none
		run  func(s *script)
	}{
		"in order": {"", func(s *script) { s.call(emit("1", toA(1)), "a"); s.call(emit("2", toA(1)), "a") }},
		"out of order": {"1: a received 1 after 2", func(s *script) {
			s.call(emit("1", toA(1)))
			s.call(emit("2", toA(1)), "a")
			s.Received("a", "1")
		}},
		"two callers are in no order": {"", func(s *script) {
			other := toA(1)
			other.Caller = "other"
			s.call(emit("1", toA(1)))
			s.call(emit("2", other), "a")
			s.Received("a", "1")
		}},
		"twice":           {"1: a received 1 2 times", func(s *script) { s.call(emit("1", toA(1)), "a", "a") }},
		"out of thin air": {"1: a received ghost, which nobody", func(s *script) { s.Received("a", "ghost") }},

		"join, emit, leave, emit": {"", func(s *script) {
			s.call(join)
			s.call(emit("1", room(1)), "a")
			s.call(leave)
			s.call(emit("2", room(0)))
		}},
		"a join that is not in force": {"2: a in r", func(s *script) { s.call(join); s.call(emit("1", room(0))) }},
		"a join that is lost later": {"2: a in r", func(s *script) {
			s.call(join)
			s.call(emit("1", room(1)), "a")
			s.call(emit("2", room(0)))
		}},
		"a join that the node did not confirm": {"", func(s *script) { s.call(unconfirmed); s.call(emit("1", room(0))) }},
		"a join that failed":                   {"", func(s *script) { c := join; c.Failed = true; s.call(c); s.call(emit("1", room(0))) }},
		"a join that was confirmed late, lost": {"2: a in r", func(s *script) {
			s.call(unconfirmed)
			s.call(emit("1", room(1)), "a")
			s.call(emit("2", room(0)))
		}},
		"a leave that is not in force": {"2: a in r", func(s *script) {
			s.call(join)
			s.call(leave)
			s.call(emit("1", room(1)), "a")
		}},
		"a leave meanwhile": {"", func(s *script) {
			s.call(join)
			left := s.Begin(leave)
			s.call(emit("1", room(1)), "a")
			s.End(left, func(*Call) {})
		}},
		"an emit to a room that reaches others": {"2: b in r", func(s *script) { s.call(emit("1", room(1)), "b") }},
		"a listing without a member": {"2: a in r", func(s *script) {
			s.call(join)
			s.call(Call{Kind: List, Node: "n2", Rooms: []string{"r"}})
		}},
		"a listing with its members": {"", func(s *script) {
			s.call(join)
			s.call(Call{Kind: List, Node: "n2", Rooms: []string{"r"}, Listed: a})
		}},

		"login, emit, logout, emit": {"", func(s *script) {
			s.call(login("u"))
			s.call(emit("1", user("u", 1)), "a")
			s.call(emit("2", user("ua", 0)))
			s.call(login(""))
			s.call(emit("3", user("u", 0)))
		}},
		"a login that is not in force": {"2: a in the connections of u", func(s *script) { s.call(login("u")); s.call(emit("1", user("u", 0))) }},
		"a login that leaves the user as it was": {"2: a in the connections of ua", func(s *script) {
			s.call(login("u"))
			s.call(emit("1", user("ua", 1)), "a")
		}},
		"a login that the node did not confirm": {"", func(s *script) {
			c := login("u")
			c.Partial, c.Unreachable = true, []string{"n1"}
			s.call(c)
			s.call(emit("1", user("u", 0)))
		}},
		"a login of another": {"3: b received 1, which is not meant", func(s *script) {
			s.call(login("u"))
			s.call(emit("1", user("u", 2)), "a", "b")
		}},

		"counted exactly": {"", func(s *script) { s.call(emit("1", Call{All: true, Matched: 2}), "a", "b") }},
		"counted too many": {"3: 1 matched 3", func(s *script) {
			s.call(emit("1", Call{All: true, Matched: 3}), "a", "b")
		}},
		"counted too few": {"3: 1 matched only 1", func(s *script) {
			s.call(emit("1", Call{All: true, Matched: 1}), "a", "b")
		}},
		"counted too few, and said so": {"", func(s *script) {
			s.call(partial(emit("1", Call{All: true, Matched: 1})), "a", "b")
		}},
		"missed a connection": {"3: b did not receive 1", func(s *script) { s.call(emit("1", Call{All: true, Matched: 1}), "a") }},
		"missed a connection, and named its node": {"", func(s *script) {
			s.call(partial(emit("1", Call{All: true, Matched: 1})), "a")
		}},
		"missed a connection, and named another node": {"3: a did not receive 1", func(s *script) {
			s.call(partial(emit("1", Call{All: true, Matched: 1})), "b")
		}},
		"missed one that was leaving": {"", func(s *script) {
			c := s.Begin(emit("1", Call{All: true}))
			s.Leaving("b")
			s.Received("a", "1")
			s.End(c, func(c *Call) { c.Matched = 2 })
		}},
		"missed one whose node died": {"", func(s *script) {
			s.Dying("n2")
			s.call(emit("1", Call{All: true, Matched: 1}), "a")
		}},
		"reached who is not meant": {"3: b received 1, which is not meant", func(s *script) {
			s.call(emit("1", Call{Users: []string{"ua"}, Matched: 2}), "a", "b")
		}},
		"partial without a name": {"3: 1: partial is true", func(s *script) {
			s.call(emit("1", Call{IDs: a, Matched: 1, Partial: true}), "a")
		}},
		"accepted, at one more": {"", func(s *script) {
			c := emit("1", Call{All: true, Matched: 1, Forwarded: 1})
			c.Applied = false
			s.call(c, "a", "b")
		}},
		"accepted, at more than told": {"3: 1 went to 0 other nodes", func(s *script) {
			c := emit("1", Call{All: true, Matched: 1})
			c.Applied = false
			s.call(c, "a", "b")
		}},

		"a duplicate": {"", func(s *script) { s.call(key("n1", toA(1)), "a"); s.call(duplicate(key("n2", toA(1)))) }},
		"done twice, in vain": {"7: key was done 2 times", func(s *script) {
			nobody := Call{IDs: []string{"nobody"}}
			s.call(key("n1", nobody))
			s.call(key("n2", nobody))
		}},
		"done twice when a node died": {"", func(s *script) {
			c := s.Begin(key("n1", toA(1)))
			s.Received("a", "k")
			s.Dying("n2")
			s.End(c, func(*Call) {})
			s.call(key("n3", toA(1)), "a")
		}},
		"a duplicate answered otherwise": {"7: key was answered 1, 0, false", func(s *script) {
			s.call(key("n1", toA(1)), "a")
			s.call(duplicate(key("n2", toA(0))))
		}},
		"a duplicate of nothing": {"7: key at n2 is called a duplicate", func(s *script) { s.call(duplicate(key("n2", toA(1)))) }},
		"refused, and not sent": {"", func(s *script) {
			c := key("n1", toA(0))
			c.Refused = true
			s.call(c)
		}},
		"refused, and sent": {"7: a received k", func(s *script) {
			c := key("n1", toA(0))
			c.Refused = true
			s.call(c, "a")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var s script
			s.Connected(Connection{ID: "a", Node: "n1", User: "ua"})
			s.Connected(Connection{ID: "b", Node: "n2", User: "ub"})
			test.run(&s)
			findings := s.Judge()
			if test.want == "" && len(findings) > 0 {
				t.Errorf("found %q", findings)
			}
			if test.want != "" && (len(findings) == 0 || !strings.HasPrefix(findings[0], test.want)) {
				t.Errorf("found %q, want %q", findings, test.want)
			}
		})
	}
}
