package bus

import (
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// received collects what a handler gets.
type received struct {
	mu       sync.Mutex
	payloads []string
	notices  int
}

func (r *received) handle(m Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m.NoResponders {
		r.notices++
		return
	}
	r.payloads = append(r.payloads, string(m.Payload))
}

func (r *received) list() []string {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.payloads)
}

// world is two nodes, of which b subscribes to "to.b".
type world struct {
	m    *Memory
	a, b Bus
	got  received // by b
}

func newWorld(t *testing.T) *world {
	t.Helper()
	m := NewMemory()
	w := &world{m: m, a: m.Join("a"), b: m.Join("b")}
	if _, err := w.b.Subscribe("to.b", w.got.handle); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.a.Close()
		w.b.Close()
	})
	return w
}

func (w *world) publish(t *testing.T, payloads ...string) {
	t.Helper()
	for _, p := range payloads {
		if err := w.a.Publish("to.b", "", []byte(p)); err != nil {
			t.Fatal(err)
		}
	}
}

func (w *world) want(t *testing.T, want ...string) {
	t.Helper()
	if got := w.got.list(); !slices.Equal(got, want) {
		t.Errorf("received %q, want %q", got, want)
	}
}

// judge gives the payloads named their verdicts.
func judge(verdicts map[string]Verdict) func(from, to, subject string, payload []byte) Verdict {
	return func(_, _, _ string, payload []byte) Verdict { return verdicts[string(payload)] }
}

func TestMemoryFaults(t *testing.T) {
	tests := []struct {
		name     string
		verdicts map[string]Verdict
		atOnce   []string
		inTheEnd []string
	}{
		{"none", nil, []string{"1", "2", "3"}, []string{"1", "2", "3"}},
		{"drop", map[string]Verdict{"2": {Drop: true}}, []string{"1", "3"}, []string{"1", "3"}},
		{"double", map[string]Verdict{"2": {Double: true}}, []string{"1", "2", "2", "3"}, []string{"1", "2", "2", "3"}},
		{"delay keeps the order", map[string]Verdict{"2": {Delay: time.Second}}, []string{"1"}, []string{"1", "2", "3"}},
		{"hold back does not", map[string]Verdict{"2": {HoldBack: time.Second}}, []string{"1", "3"}, []string{"1", "3", "2"}},
		{"a shorter delay after a longer", map[string]Verdict{"1": {Delay: time.Minute}, "2": {Delay: time.Second}}, nil, []string{"1", "2", "3"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.m.SetFaults(judge(tt.verdicts))
				w.publish(t, "1", "2", "3")
				w.want(t, tt.atOnce...)
				time.Sleep(time.Hour)
				w.want(t, tt.inTheEnd...)
			})
		})
	}
}

func TestMemoryCutIsOneWayAndLosesWhatIsOnItsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var back received
		if _, err := w.a.Subscribe("to.a", back.handle); err != nil {
			t.Fatal(err)
		}
		w.m.SetFaults(judge(map[string]Verdict{"late": {Delay: time.Second}}))
		w.publish(t, "late")
		w.m.Cut("a", "b")
		w.publish(t, "lost")
		if err := w.b.Publish("to.a", "", []byte("back")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		w.want(t)
		if got := back.list(); !slices.Equal(got, []string{"back"}) {
			t.Errorf("the other way: received %q", got)
		}
		w.m.Heal("a", "b")
		w.publish(t, "healed")
		w.want(t, "healed")
	})
}

func TestMemoryCutGivesNoNotice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var notices received
		if _, err := w.a.Subscribe("reply", notices.handle); err != nil {
			t.Fatal(err)
		}
		w.m.Cut("a", "b")
		w.a.Publish("to.b", "reply", nil)
		synctest.Wait()
		if notices.notices != 0 {
			t.Error("told that nobody subscribes, but a dead route is not known yet")
		}
		w.b.Close()
		w.a.Publish("to.b", "reply", nil)
		synctest.Wait()
		if notices.notices != 1 {
			t.Errorf("%d notices after b has closed, want 1", notices.notices)
		}
	})
}

func TestMemoryFreezeKeepsBothDirections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var back received
		if _, err := w.a.Subscribe("to.a", back.handle); err != nil {
			t.Fatal(err)
		}
		w.m.Freeze("b")
		w.publish(t, "1", "2")
		w.b.Publish("to.a", "", []byte("3"))
		time.Sleep(time.Minute)
		w.want(t)
		if got := back.list(); len(got) != 0 {
			t.Errorf("a frozen node sent %q", got)
		}
		w.m.Thaw("b")
		w.want(t, "1", "2")
		if got := back.list(); !slices.Equal(got, []string{"3"}) {
			t.Errorf("after Thaw: received %q", got)
		}
	})
}

func TestMemoryFrozenNodeIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.m.Freeze("b")
		payload := make([]byte, MaxPayload)
		const extra = 3
		for range MaxPending/MaxPayload + extra {
			if err := w.a.Publish("to.b", "", payload); err != nil {
				t.Fatal(err)
			}
		}
		if got := w.b.Dropped(); got != extra {
			t.Errorf("dropped %d, want %d", got, extra)
		}
		w.m.Thaw("b")
		if got := len(w.got.list()); got != MaxPending/MaxPayload {
			t.Errorf("received %d, want %d", got, MaxPending/MaxPayload)
		}
	})
}

func TestMemoryDisconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.m.Disconnect("a")
		if w.a.Connected() || !w.b.Connected() {
			t.Error("the wrong node is away")
		}
		if err := w.a.Publish("to.b", "", nil); !errors.Is(err, ErrNotConnected) {
			t.Errorf("Publish: %v", err)
		}
		if got := w.a.Dropped(); got != 1 {
			t.Errorf("dropped %d, want 1", got)
		}
		w.m.Reconnect("a")
		w.m.Disconnect("b")
		w.publish(t, "lost")
		w.m.Reconnect("b")
		w.publish(t, "back")
		w.want(t, "back")
	})
}

func TestMemoryCopiesWhatIsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.m.SetFaults(func(_, _, _ string, _ []byte) Verdict { return Verdict{Delay: time.Second} })
		payload := []byte("1")
		if err := w.a.Publish("to.b", "", payload); err != nil {
			t.Fatal(err)
		}
		payload[0] = '2'
		time.Sleep(time.Minute)
		w.want(t, "1")
	})
}

func TestMemoryRunsRepeatWithASeed(t *testing.T) {
	run := func() (got []string) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			random := rand.New(rand.NewPCG(1, 2))
			w.m.SetFaults(func(_, _, _ string, _ []byte) Verdict {
				return Verdict{Drop: random.IntN(3) == 0, Double: random.IntN(3) == 0, HoldBack: time.Duration(random.IntN(5)) * time.Millisecond}
			})
			for i := range 200 {
				w.publish(t, string(rune('a'+i%26)))
			}
			time.Sleep(time.Second)
			got = w.got.list()
		})
		return got
	}
	first, second := run(), run()
	if len(first) == 0 || !slices.Equal(first, second) {
		t.Errorf("two runs differ:\n%q\n%q", first, second)
	}
}

func TestMemoryTakesPayloadsBackFromHandlers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var kept []byte
		if _, err := w.a.Subscribe("kept", func(m Message) { kept = m.Payload }); err != nil {
			t.Fatal(err)
		}
		w.b.Publish("kept", "", []byte("mine"))
		synctest.Wait()
		if string(kept) == "mine" {
			t.Error("a payload that was kept has not been overwritten")
		}
	})
}

func TestSubjects(t *testing.T) {
	tests := []struct {
		subject        string
		valid, pattern bool
	}{
		{"a", true, true}, {"a.b-c_d", true, true}, {"a.*", false, true}, {"*", false, true},
		{"", false, false}, {"a.", false, false}, {".a", false, false}, {"a..b", false, false},
		{"a b", false, false}, {"a.b*", false, false}, {"a.>", false, false},
	}
	for _, tt := range tests {
		if got := ValidSubject(tt.subject); got != tt.valid {
			t.Errorf("ValidSubject(%q) = %v", tt.subject, got)
		}
		if got := ValidPattern(tt.subject); got != tt.pattern {
			t.Errorf("ValidPattern(%q) = %v", tt.subject, got)
		}
	}
	for _, tt := range []struct {
		pattern, subject string
		want             bool
	}{
		{"a.b", "a.b", true}, {"a.*", "a.b", true}, {"*.b", "a.b", true}, {"*.*", "a.b", true},
		{"a", "a.b", false}, {"a.b", "a", false}, {"a.*", "a", false}, {"a.*", "a.b.c", false}, {"*", "a.b", false},
	} {
		if got := match(tt.pattern, tt.subject); got != tt.want {
			t.Errorf("match(%q, %q) = %v", tt.pattern, tt.subject, got)
		}
	}
}
