package blocks

import (
	"net/netip"
	"testing"
	"time"
)

// Whatever text is read as a subject is written as one that is read as the same; and what
// is read as a network is one that may be blocked.
func FuzzSubjectOf(f *testing.F) {
	for _, s := range []Subject{user("42"), user(""), network("203.0.113.0/24"), network("2001:db8::/48"), network("::ffff:10.0.0.1")} {
		f.Add(s.Key())
	}
	for _, key := range []string{"", "a", "x", "a0.0.0.0/0", "afe80::1%eth0", "a10.0.0.1/33", "a::ffff:0:0/90"} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		s, err := SubjectOf(key)
		if err != nil {
			return
		}
		if again, err := SubjectOf(s.Key()); again != s || err != nil {
			t.Errorf("%q is %v, and then %v, %v", key, s, again, err)
		}
		if p := s.Prefix; p.IsValid() && (p != p.Masked() || p.Addr().Is4In6() || p.Addr().Zone() != "" || p.Bits() < widest(p.Addr())) {
			t.Errorf("%q is %v", key, p)
		}
	})
}

// Whatever a record of a disk is, it is refused, or read as what is written again.
func FuzzDecode(f *testing.F) {
	e := at(user("42"), 1, true)
	e.Until, e.Reason, e.Caller = time.Date(2100, 1, 2, 3, 4, 5, 6, time.UTC), "spam", "ops"
	for _, e := range []*Entry{e, at(Subject{Prefix: netip.MustParsePrefix("10.0.0.0/8")}, 2, false)} {
		text, err := e.encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(e.Key(), text)
	}
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		e, err := decode(key, value)
		if err != nil {
			return
		}
		text, err := e.encode()
		if err != nil {
			return // a year that JSON has no text for
		}
		again, err := decode(e.Key(), text)
		if err != nil || again.Subject != e.Subject || again.Stamp != e.Stamp || again.Blocked != e.Blocked || !again.Until.Equal(e.Until) || again.Reason != e.Reason || again.Caller != e.Caller {
			t.Errorf("%q, %s: %+v, and then %+v, %v", key, value, e, again, err)
		}
	})
}
