package blocks

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestParsePrefix(t *testing.T) {
	for text, want := range map[string]string{
		"203.0.113.7":              "203.0.113.7/32",
		"203.0.113.7/24":           "203.0.113.0/24",
		"10.0.0.0/8":               "10.0.0.0/8",
		"::ffff:203.0.113.7":       "203.0.113.7/32",
		"::ffff:203.0.113.7/120":   "203.0.113.0/24",
		"2001:db8::1":              "2001:db8::1/128",
		"2001:db8:1:2:3::/48":      "2001:db8:1::/48",
		"0.0.0.0/0":                ErrTooWide.Error(),
		"128.0.0.0/7":              ErrTooWide.Error(),
		"::/0":                     ErrTooWide.Error(),
		"2000::/15":                ErrTooWide.Error(),
		"::ffff:0.0.0.0/96":        ErrTooWide.Error(),
		"::ffff:0.0.0.0/90":        ErrTooWide.Error(),
		"":                         errNoPrefix.Error(),
		"fe80::1%eth0":             errNoPrefix.Error(),
		"203.0.113.7/33":           errNoPrefix.Error(),
		"203.0.113":                errNoPrefix.Error(),
		"example.com":              errNoPrefix.Error(),
		"203.0.113.0/24, 10.0.0.1": errNoPrefix.Error(),
	} {
		p, err := ParsePrefix(text)
		got := p.String()
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func user(name string) Subject { return Subject{User: name} }

func network(text string) Subject {
	p, err := ParsePrefix(text)
	if err != nil {
		panic(err)
	}
	return Subject{Prefix: p}
}

func at(s Subject, time int64, blocked bool) *Entry {
	return &Entry{Subject: s, Stamp: Stamp{time, "n"}, Blocked: blocked}
}

func TestKeys(t *testing.T) {
	for _, s := range []Subject{user("42"), user("a10.0.0.1/32"), user("u"), network("10.0.0.1"), network("2001:db8::/32")} {
		if got, err := SubjectOf(s.Key()); got != s || err != nil {
			t.Errorf("%q: %v, %v", s.Key(), got, err)
		}
	}
	for _, key := range []string{"", "u", "a", "x1", "a10.0.0.1/33"} {
		if s, err := SubjectOf(key); err == nil {
			t.Errorf("%q: %v", key, s)
		}
	}
}

func TestWhoIsBlocked(t *testing.T) {
	table := &Table{}
	now := time.Now().UnixNano()
	if table.User("42") || table.Address(netip.MustParseAddr("10.1.2.3")) {
		t.Error("an empty table blocks")
	}
	table.merge([]*Entry{
		at(user("42"), now, true), at(user("43"), now, false),
		at(network("10.1.0.0/16"), now, true), at(network("10.1.2.3"), now, false), at(network("10.9.9.9"), now, true), at(network("2001:db8::/32"), now, true),
	})
	for name, want := range map[string]bool{"42": true, "43": false, "4": false, "": false} {
		if got := table.User(name); got != want {
			t.Errorf("user %q: %v", name, got)
		}
	}
	for text, want := range map[string]bool{
		"10.1.2.3": true, "10.1.255.255": true, "10.2.0.0": false, "10.9.9.9": true, "10.9.9.8": false,
		"::ffff:10.9.9.9": true, "2001:db8:ffff::1": true, "2001:db9::1": false, "2001:db8::1%eth0": true, "::1": false,
	} {
		if got := table.Address(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	if table.Address(netip.Addr{}) {
		t.Error("no address is blocked")
	}
}

// A block ends by itself at its time, by the wall clock, and is remembered.
func TestUntil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := &Table{}
		e := at(user("42"), time.Now().UnixNano(), true)
		e.Until = time.Now().Add(time.Hour).Round(0)
		table.merge([]*Entry{e})
		time.Sleep(time.Hour - 1)
		if !table.User("42") || table.Counts() != (Counts{Users: 1}) {
			t.Error("it ended too early")
		}
		time.Sleep(time.Nanosecond)
		if table.User("42") || table.Counts() != (Counts{Lifted: 1}) {
			t.Error("it has not ended")
		}
		// What was before does not come back.
		table.merge([]*Entry{at(user("42"), e.Stamp.Time-1, true)})
		if table.User("42") {
			t.Error("an earlier block came back")
		}
		time.Sleep(Remembered)
		if gone := table.prune(true); len(gone) != 0 {
			t.Errorf("forgotten too early: %v", gone)
		}
		time.Sleep(time.Nanosecond)
		if gone := table.prune(true); !slices.Equal(gone, []*Entry{e}) || table.Counts() != (Counts{}) || table.Digest() != (Digest{}) {
			t.Errorf("forgotten: %v, left %v", gone, table.Counts())
		}
		// Nor does what was forgotten, from somebody who has not forgotten it.
		if taken, _ := table.merge([]*Entry{e}); taken != nil {
			t.Error("what was forgotten is back")
		}
	})
}

// Tables that were told the same know the same, in whatever order and however often.
func TestOrderDoesNotMatter(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	now := time.Now().UnixNano()
	for range 200 {
		var all []*Entry
		latest := map[Subject]*Entry{}
		for i := range 60 {
			s := user(fmt.Sprint(r.IntN(12)))
			if r.IntN(2) == 0 {
				s = network(fmt.Sprintf("10.%d.0.0/%d", r.IntN(3), 16+r.IntN(3)))
			}
			e := at(s, now+int64(r.IntN(20)), r.IntN(2) == 0)
			e.Stamp.Node = fmt.Sprint("n", i) // no two are alike
			all = append(all, e)
			if l := latest[s]; l == nil || l.Stamp.Compare(e.Stamp) < 0 {
				latest[s] = e
			}
		}
		var want []Entry
		for _, e := range latest {
			want = append(want, *e)
		}
		slices.SortFunc(want, func(a, b Entry) int { return a.Compare(b.Subject) })
		var digest Digest
		for i := range 3 {
			table := &Table{}
			told := slices.Concat(all, all[:20])
			r.Shuffle(len(told), func(i, j int) { told[i], told[j] = told[j], told[i] })
			for len(told) > 0 {
				n := min(len(told), 1+r.IntN(10))
				table.merge(told[:n])
				told = told[n:]
			}
			got, _ := table.page(nil, 1000, func(*Entry) bool { return true })
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("got %v\nwant %v", got, want)
			}
			if i > 0 && table.Digest() != digest {
				t.Fatal("the digests differ")
			}
			digest = table.Digest()
			for bits := range 33 {
				n := 0
				for _, e := range want {
					if e.Prefix.IsValid() && e.Prefix.Bits() == bits {
						n++
					}
				}
				if got := table.lengths[0][bits]; got != n {
					t.Fatalf("%d prefixes of %d bits, want %d", got, bits, n)
				}
			}
		}
	}
}

func TestPage(t *testing.T) {
	table := &Table{}
	now := time.Now().UnixNano()
	table.merge([]*Entry{
		at(user("b"), now, true), at(user("a1"), now, true), at(user("a2"), now, true), at(user("a3"), now, false),
		at(network("10.0.0.0/8"), now, true), at(network("10.1.2.3"), now, true), at(network("2001:db8::/32"), now, true), at(network("9.9.9.9"), now, true),
	})
	for _, tt := range []struct {
		filter Filter
		want   string
	}{
		{Filter{}, "[a9.9.9.9/32 a10.0.0.0/8 a10.1.2.3/32 a2001:db8::/32 ua1 ua2 ub]"},
		{Filter{UserPrefix: "a"}, "[ua1 ua2]"},
		{Filter{Within: network("10.1.2.3").Prefix}, "[a10.0.0.0/8 a10.1.2.3/32]"},
		{Filter{Within: network("10.1.0.0/16").Prefix}, "[a10.0.0.0/8 a10.1.2.3/32]"},
		{Filter{Within: network("11.0.0.0/8").Prefix}, "[]"},
	} {
		for limit := 1; limit < 9; limit++ {
			keys := []string{}
			var after *Subject
			for {
				page, next := table.Page(tt.filter, after, limit)
				for _, e := range page {
					keys = append(keys, e.Key())
				}
				if next == nil {
					break
				}
				if len(page) != limit {
					t.Errorf("%v: a page of %d, want %d", tt.filter, len(page), limit)
				}
				after = next
			}
			if got := fmt.Sprint(keys); got != tt.want {
				t.Errorf("%v by %d: %s, want %s", tt.filter, limit, got, tt.want)
			}
		}
	}
}

// Two tables that pull from each other know the same, and only what may differ is told.
func TestDifference(t *testing.T) {
	now := time.Now().UnixNano()
	a, b := &Table{}, &Table{}
	for i := range 5000 {
		e := at(user(fmt.Sprint(i)), now, true)
		a.merge([]*Entry{e})
		if i%1000 != 0 {
			b.merge([]*Entry{e})
		}
	}
	b.merge([]*Entry{at(user("1"), now+1, false), at(network("10.0.0.1"), now, true)})
	told := 0
	pull := func(to, from *Table) {
		d := DigestOf(func() map[uint32]uint64 { d := to.Digest(); return d.Sparse() }())
		var after *Subject
		for {
			page, next := from.Difference(&d, after, 7)
			told += len(page)
			for i := range page {
				to.merge([]*Entry{&page[i]})
			}
			if after = next; next == nil {
				return
			}
		}
	}
	pull(a, b)
	pull(b, a)
	if a.Digest() != b.Digest() || a.User("1") || !b.User("1000") || !a.Address(netip.MustParseAddr("10.0.0.1")) {
		t.Error("they do not know the same")
	}
	if told > 600 {
		t.Errorf("%d entries were told because of seven", told)
	}
	before := told
	pull(a, b)
	if told != before {
		t.Error("something was told where nothing differs")
	}
}
