package publish

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// join adds a member that is named after its group.
func join(topics *Topics, name string, names ...string) *Mailbox {
	group, id, _ := strings.Cut(name, "/")
	return topics.Join(Member{group, id}, names, nil, func() {})
}

// read takes everything out, and shows it.
func read(b *Mailbox) (all []string, ids []string) {
	for d, ok := b.Next(); ok; d, ok = b.Next() {
		text := d.Topic + string(d.Args)
		if d.AnswerAwaited {
			text += "?"
		}
		all, ids = append(all, text), append(ids, d.ID)
	}
	return all, ids
}

func show(r Result) string {
	reasons := []string{"", "timed out", "left", "full", "too large", "answer dropped", "unreachable"}
	all := []string{fmt.Sprint(r.Matched)}
	for _, o := range r.Outcomes {
		text := o.Group + "/" + o.ConsumerID + " " + reasons[o.Reason] + string(o.Args)
		all = append(all, strings.TrimSpace(text))
	}
	slices.Sort(all[1:])
	return strings.Join(append(all, r.Unreachable...), ", ")
}

func publish(t *testing.T, topics *Topics, r *Request) *Publication {
	t.Helper()
	p, err := topics.Publish(r)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// wait waits for all that is awaited, and wants this result.
func wait(t *testing.T, p *Publication, want string) {
	t.Helper()
	r, err := p.Wait(t.Context(), nil)
	if got := show(r); err != nil || got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func request(topic, args string) *Request {
	return &Request{Message: Message{Topic: topic, Args: []byte(args)}}
}

func awaiting(topic, args string, timeout time.Duration) *Request {
	r := request(topic, args)
	r.Timeout = timeout
	return r
}

func TestWhoGetsWhat(t *testing.T) {
	tests := []struct {
		name, topic string
		group       string
		except      Member
		want        string // who has it, besides the count
	}{
		{"everybody who asked", "a", "", Member{}, "3 g/1 g/2 h/1"},
		{"a group", "a", "g", Member{}, "2 g/1 g/2"},
		{"all but one", "a", "", Member{"g", "1"}, "2 g/2 h/1"},
		{"a group but for one of another", "a", "g", Member{"h", "1"}, "2 g/1 g/2"},
		{"another topic", "b", "", Member{}, "1 h/1"},
		{"nobody's topic", "c", "", Member{}, "0"},
		{"a group that is not there", "a", "i", Member{}, "0"},
	}
	for _, tt := range tests {
		topics := NewTopics()
		members := map[string]*Mailbox{"g/1": join(topics, "g/1", "a"), "g/2": join(topics, "g/2", "a"), "h/1": join(topics, "h/1", "b", "a"), "none": nil}
		r, err := publish(t, topics, &Request{Message: Message{Topic: tt.topic}, Group: tt.group, Except: tt.except}).Wait(t.Context(), nil)
		got := []string{fmt.Sprint(r.Matched)}
		for _, name := range []string{"g/1", "g/2", "h/1", "none"} {
			if all, _ := read(members[name]); len(all) > 0 {
				got = append(got, name)
			}
		}
		if text := strings.Join(got, " "); err != nil || text != tt.want {
			t.Errorf("%s: %q, %v, want %q", tt.name, text, err, tt.want)
		}
	}
}

func TestAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topics := NewTopics()
		a, b, late, large := join(topics, "g/a", "t"), join(topics, "g/b", "t"), join(topics, "g/late", "t"), join(topics, "g/large", "t")
		gone, unread := join(topics, "g/gone", "t"), join(topics, "g/unread", "t")
		p := publish(t, topics, awaiting("t", "[1]", time.Minute))
		got, ids := read(a)
		if !slices.Equal(got, []string{"t[1]?"}) {
			t.Fatalf("got %q", got)
		}
		if err := a.Answer(ids[0], []byte(`["yes"]`), [][]byte{{1}}); err != nil {
			t.Error(err)
		}
		if err := a.Answer(ids[0], []byte(`["again"]`), nil); !errors.Is(err, ErrNotAwaited) {
			t.Errorf("the second answer: %v", err)
		}
		if err := b.Answer("7", nil, nil); !errors.Is(err, ErrNotAwaited) {
			t.Errorf("an answer to nothing: %v", err)
		}
		if err := (*Mailbox)(nil).Answer("7", nil, nil); !errors.Is(err, ErrNotAwaited) {
			t.Errorf("an answer of who has no mailbox: %v", err)
		}
		_, ids = read(b)
		b.Drain()
		if err := b.Answer(ids[0], []byte(`["leaving"]`), nil); err != nil {
			t.Errorf("an answer after the drain: %v", err)
		}
		_, ids = read(large)
		large.TooLarge(ids[0])
		read(gone)
		gone.Drain()
		gone.Close()
		unread.Drain()
		began := time.Now()
		wait(t, p, `6, g/a ["yes"], g/b ["leaving"], g/gone left, g/large too large, g/late timed out, g/unread left`)
		if d := time.Since(began); d != time.Minute {
			t.Errorf("it took %v", d)
		}
		if len(p.result.Outcomes[0].Attachments) != 1 {
			t.Errorf("the answer: %v", p.result.Outcomes[0])
		}
		if got, ids = read(late); !slices.Equal(got, []string{"t[1]"}) || !errors.Is(late.Answer(ids[0], nil, nil), ErrNotAwaited) {
			t.Errorf("the late one got %q", got)
		}
		if s := topics.Stats(); s != (Stats{Published: 1, Handed: 6, Dropped: 2, Answered: 2}) {
			t.Errorf("counts: %+v", s)
		}
		if topics.asked != 0 || topics.awaiting.Load() != 0 || topics.answerBytes.Load() != 0 {
			t.Errorf("left: %d, %d, %d", topics.asked, topics.awaiting.Load(), topics.answerBytes.Load())
		}
	})
}

// Nobody waits longer than the caller can.
func TestWaitingEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topics := NewTopics()
		b := join(topics, "g/1", "t")
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		r, err := publish(t, topics, awaiting("t", "", time.Hour)).Wait(ctx, nil)
		if left, _ := ctx.Deadline(); err != nil || show(r) != "1, g/1 timed out" || time.Until(left) != keptForAnswer {
			t.Errorf("before the deadline: %s, %v, %v left", show(r), err, time.Until(left))
		}
		cancel()
		if _, err := publish(t, topics, awaiting("t", "", time.Hour)).Wait(ctx, nil); !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after the end: %v", err)
		}
		over := make(chan struct{})
		close(over)
		r, err = publish(t, topics, awaiting("t", "", time.Hour)).Wait(t.Context(), over)
		if err != nil || show(r) != "1, g/1 timed out" {
			t.Errorf("when it was over: %s, %v", show(r), err)
		}
		if len(b.asked) != 0 || topics.asked != 0 {
			t.Errorf("the member owes %d answers, all owe %d", len(b.asked), topics.asked)
		}
	})
}

// What finds no room is missed by that member alone, and what came before is in order.
func TestBounds(t *testing.T) {
	topics := NewTopics()
	slow, quick := join(topics, "g/slow", "t"), join(topics, "g/quick", "t")
	large := strings.Repeat(" ", maxWaiting)
	wait(t, publish(t, topics, request("t", large)), "2")
	read(quick)
	wait(t, publish(t, topics, request("t", "[1]")), "1, g/slow full")
	if got, _ := read(slow); len(got) != 1 || len(got[0]) != 1+len(large) {
		t.Errorf("%d messages for the slow one", len(got))
	}
	read(quick)
	most := 0
	for i := 0; ; i++ {
		r, _ := publish(t, topics, request("t", fmt.Sprint([]int{i}))).Wait(t.Context(), nil)
		read(quick)
		if r.Matched == 1 {
			most = i
			break
		}
	}
	got, _ := read(slow)
	for i, text := range got {
		if text != fmt.Sprint("t", []int{i}) {
			t.Fatalf("message %d is %s", i, text)
		}
	}
	if len(got) != most || slow.bytes != 0 {
		t.Errorf("%d of %d messages, %d bytes are left", len(got), most, slow.bytes)
	}
	wait(t, publish(t, topics, request("t", "[2]")), "2")
}

func TestAnswersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topics := NewTopics()
		var all []*Mailbox
		for i := range 4 {
			all = append(all, join(topics, fmt.Sprint("g/", i), "t"))
		}
		answer := func(p *Publication, size int) {
			for _, b := range all {
				_, ids := read(b)
				if err := b.Answer(ids[0], bytes.Repeat([]byte{'x'}, size), nil); err != nil {
					t.Fatal(err)
				}
			}
		}
		p := publish(t, topics, awaiting("t", "", time.Second))
		answer(p, 1<<20)
		r, err := p.Wait(t.Context(), nil)
		dropped := 0
		for _, o := range r.Outcomes {
			if o.Reason == AnswerDropped {
				dropped++
			}
		}
		if err != nil || len(r.Outcomes) != 4 || dropped != 2 {
			t.Errorf("%d of %d answers were dropped, %v; want 2 of 4", dropped, len(r.Outcomes), err)
		}
		// Those of all publications have room for 21 of 3 MiB, while nobody waits.
		var waiting []*Publication
		for range 40 {
			p := publish(t, topics, awaiting("t", "", time.Second))
			answer(p, 3<<18)
			waiting = append(waiting, p)
		}
		if n := topics.answerBytes.Load(); n > maxAnswersInAll || n < maxAnswersInAll-3<<18 {
			t.Errorf("%d bytes of answers", n)
		}
		for _, p := range waiting {
			if _, err := p.Wait(t.Context(), nil); err != nil {
				t.Error(err)
			}
		}
		if n := topics.answerBytes.Load(); n != 0 {
			t.Errorf("%d bytes of answers are left", n)
		}
	})
}

func TestTooMuchIsAwaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topics := NewTopics()
		join(topics, "g/1", "t")
		var all []*Publication
		for range maxAwaiting {
			all = append(all, publish(t, topics, awaiting("t", "", time.Hour)))
		}
		if _, err := topics.Publish(awaiting("t", "", time.Hour)); !errors.Is(err, ErrBusy) {
			t.Errorf("one more: %v", err)
		}
		wait(t, publish(t, topics, request("t", "")), "1") // which asks for nothing
		over := make(chan struct{})
		close(over)
		for _, p := range all {
			if _, err := p.Wait(t.Context(), over); err != nil {
				t.Fatal(err)
			}
		}
		// One that asks a member which owes too many.
		stops := []func(){}
		for range maxAsked {
			_, _, stop := topics.Deliver(awaiting("t", "", time.Hour), func(Outcome) {})
			stops = append(stops, stop)
		}
		_, missing, _ := topics.Deliver(awaiting("t", "", time.Hour), func(Outcome) {})
		if len(missing) != 1 || missing[0].Reason != Full {
			t.Errorf("a member that owes %d answers: %v", maxAsked, missing)
		}
		for _, stop := range stops {
			stop()
		}
		if topics.asked != 0 {
			t.Errorf("%d answers are owed", topics.asked)
		}
	})
}

// Several nodes: whatever order their words come in, each member is in the result once.
func TestParts(t *testing.T) {
	m := func(id string) Member { return Member{"g", id} }
	begin := func(t *testing.T, timeout time.Duration) (*Publication, *[]string) {
		t.Helper()
		ended := &[]string{}
		p, err := NewTopics().Begin(awaiting("t", "", timeout), func(undone []string) { *ended = append(*ended, undone...) })
		if err != nil {
			t.Fatal(err)
		}
		p.Add("a", "n1", nil)
		p.Add("b", "n2", []Member{m("known")})
		return p, ended
	}
	inBubble := func(name string, f func(*testing.T)) {
		t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
	}
	inBubble("out of order", func(t *testing.T) {
		p, ended := begin(t, time.Minute)
		p.Outcome("b", Outcome{Member: m("2"), Args: []byte("[2]")})
		p.Placed("a", []Member{m("1")}, []Outcome{{Member: m("full"), Reason: Full}})
		p.Placed("b", []Member{m("2"), m("3")}, nil)
		p.Placed("b", []Member{m("4")}, nil)
		p.Outcome("a", Outcome{Member: m("1"), Reason: Left})
		p.Outcome("b", Outcome{Member: m("2"), Reason: TimedOut})
		p.Outcome("b", Outcome{Member: m("3"), Reason: TimedOut})
		p.Outcome("c", Outcome{Member: m("nobody's")})
		p.Fail("b")
		wait(t, p, "3, g/1 left, g/2 [2], g/3 timed out, g/full full")
		if len(*ended) != 0 {
			t.Errorf("ended %v", *ended)
		}
	})
	inBubble("failures", func(t *testing.T) {
		p, _ := begin(t, time.Minute)
		p.Placed("a", []Member{m("1"), m("2")}, nil)
		p.Outcome("a", Outcome{Member: m("1"), Args: []byte("[1]")})
		p.Fail("a")
		p.Fail("b")
		p.Placed("b", []Member{m("late")}, nil)
		wait(t, p, "2, g/1 [1], g/2 unreachable, g/known unreachable, n1, n2")
	})
	inBubble("silence", func(t *testing.T) {
		p, ended := begin(t, time.Minute)
		p.Placed("a", []Member{m("1")}, nil)
		wait(t, p, "1, g/1 timed out, g/known unreachable, n2")
		if !slices.Equal(*ended, []string{"a", "b"}) {
			t.Errorf("ended %v", *ended)
		}
	})
	inBubble("no answers", func(t *testing.T) {
		p, _ := begin(t, 0)
		p.Placed("a", []Member{m("1")}, nil)
		p.Placed("b", nil, nil)
		wait(t, p, "1")
	})
	inBubble("no answers and silence", func(t *testing.T) {
		began := time.Now()
		p, ended := begin(t, 0)
		p.Placed("b", []Member{m("1")}, nil)
		wait(t, p, "1, n1")
		if !slices.Equal(*ended, []string{"a"}) || time.Since(began) != placeLimit {
			t.Errorf("ended %v, after %v", *ended, time.Since(began))
		}
	})
	inBubble("silence about several, one waited for after the other", func(t *testing.T) {
		began := time.Now()
		var all []*Publication
		for range 3 {
			p, _ := begin(t, 0)
			all = append(all, p)
		}
		for _, p := range all {
			wait(t, p, "0, g/known unreachable, n1, n2")
		}
		if time.Since(began) != placeLimit {
			t.Errorf("waited for %v", time.Since(began))
		}
	})
}

// Members come, go, read and answer at random while several publish: everybody who was asked
// is in the result once, and nothing is left.
func TestChurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topics := NewTopics()
		done := make(chan struct{})
		for i := range 8 {
			go func() {
				r := rand.New(rand.NewPCG(uint64(i), 1))
				for n := range 200 {
					b := join(topics, fmt.Sprintf("g/%d-%d", i, n), "t")
					for range r.IntN(5) {
						time.Sleep(time.Duration(r.IntN(1000)) * time.Millisecond)
						for d, ok := b.Next(); ok && r.IntN(4) > 0; d, ok = b.Next() {
							if r.IntN(3) > 0 {
								_ = b.Answer(d.ID, []byte("[]"), nil)
							}
						}
					}
					if r.IntN(2) == 0 {
						b.Drain()
					}
					b.Close()
				}
				done <- struct{}{}
			}()
		}
		for i := range 4 {
			go func() {
				r := rand.New(rand.NewPCG(uint64(i), 2))
				for range 500 {
					p, err := topics.Publish(awaiting("t", "[]", time.Duration(1+r.IntN(1000))*time.Millisecond))
					if err != nil {
						t.Error(err)
						continue
					}
					res, err := p.Wait(t.Context(), nil)
					seen := map[Member]bool{}
					for _, o := range res.Outcomes {
						seen[o.Member] = true
					}
					if err != nil || len(res.Outcomes) != res.Matched || len(seen) != res.Matched {
						t.Errorf("%d were asked, and %d of %d outcomes are of different ones: %v", res.Matched, len(seen), len(res.Outcomes), err)
					}
				}
				done <- struct{}{}
			}()
		}
		for range 12 {
			<-done
		}
		if topics.asked != 0 || len(topics.mailboxes) != 0 || topics.awaiting.Load() != 0 || topics.answerBytes.Load() != 0 {
			t.Errorf("left: %d answers, %d topics, %d publications, %d bytes", topics.asked, len(topics.mailboxes), topics.awaiting.Load(), topics.answerBytes.Load())
		}
	})
}
