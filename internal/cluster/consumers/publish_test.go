package consumers

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/cluster/bus"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/publish"
)

// listener is a consumer that is there for the topic "t" alone.
type listener struct {
	*Subscription
	answers bool
	mu      sync.Mutex
	got     []string
}

// listen adds a consumer that is named after its node.
func (n *testNode) listen(answers bool) *listener {
	n.t.Helper()
	s, err := n.Subscribe(dispatch.SubscriptionOptions{Group: "g", ConsumerID: n.name, Topics: []string{"t"}, NoEvents: true})
	if err != nil {
		n.t.Fatal(err)
	}
	n.others = append(n.others, s)
	l := &listener{Subscription: s, answers: answers}
	go func() {
		for {
			for d, ok := l.Published(); ok; d, ok = l.Published() {
				l.mu.Lock()
				l.got = append(l.got, string(d.Args))
				l.mu.Unlock()
				if l.answers && d.AnswerAwaited {
					_ = l.Answer(d.ID, d.Args, nil)
				}
			}
			select {
			case <-l.News():
			case <-l.Done():
				return
			}
		}
	}()
	return l
}

func (l *listener) heard() []string {
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.got)
}

func (n *testNode) publish(args string, timeout time.Duration) *publish.Publication {
	n.t.Helper()
	p, err := n.Publish(&publish.Request{Message: publish.Message{Topic: "t", Args: []byte(args)}, Timeout: timeout})
	if err != nil {
		n.t.Fatal(err)
	}
	return p
}

// becomes wants this of a publish.
func becomes(t *testing.T, p *publish.Publication, want string) {
	t.Helper()
	r, err := p.Wait(context.Background(), nil)
	all := []string{fmt.Sprint(r.Matched)}
	for _, o := range r.Outcomes {
		all = append(all, strings.TrimSpace(fmt.Sprint(o.ConsumerID, " ", []string{"", "late", "left", "full", "too large", "dropped", "unreachable"}[o.Reason], string(o.Args))))
	}
	slices.Sort(all[1:])
	if got := strings.Join(append(all, r.Unreachable...), ", "); err != nil || got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

// nothingIsLeft wants no publish to be under way.
func nothingIsLeft(t *testing.T, nodes []*testNode) {
	t.Helper()
	synctest.Wait()
	for _, n := range nodes {
		if left := len(n.publications.open); left != 0 {
			t.Errorf("%s has %d publishes that are not over", n.name, left)
		}
		for _, p := range n.all() {
			if left := len(p.published); left != 0 {
				t.Errorf("%s awaits answers to %d publishes of %s", n.name, left, p.name)
			}
		}
	}
}

// Those whose node does not answer are named, as long as it is not gone.
func TestPublishWhileANodeIsAway(t *testing.T) {
	inCluster(t, 3, func(m *bus.Memory, nodes []*testNode) {
		one, two := nodes[0], nodes[1]
		one.listen(true)
		two.listen(true)
		silent := nodes[2].listen(false)
		becomes(t, one.publish("[1]", time.Second), "3, n1 [1], n2 [1], n3 late")
		cut := func() { m.Cut("n1", "n3"); m.Cut("n3", "n1") }
		heal := func() { m.Heal("n1", "n3"); m.Heal("n3", "n1"); time.Sleep(10 * time.Second) }
		p := one.publish("[2]", time.Hour)
		time.Sleep(time.Second)
		cut()
		began := time.Now()
		becomes(t, p, "3, n1 [2], n2 [2], n3 unreachable, n3")
		if d := time.Since(began); d > time.Minute {
			t.Errorf("it took %v to see that a node is away", d)
		}
		becomes(t, one.publish("[3]", 0), "2, n3 unreachable, n3")
		becomes(t, two.publish("[4]", 0), "3")
		heal()
		becomes(t, one.publish("[5]", 0), "3")
		// One that is not known yet to be away, and never said whom it asked.
		cut()
		becomes(t, one.publish("[6]", 100*time.Millisecond), "2, n1 [6], n2 [6], n3 unreachable, n3")
		time.Sleep(20 * time.Second)
		becomes(t, one.publish("[7]", 0), "2, n3 unreachable, n3")
		time.Sleep(2 * time.Minute)
		becomes(t, one.publish("[8]", 0), "2") // it is gone
		heal()
		time.Sleep(time.Minute)
		becomes(t, one.publish("[9]", 0), "3")
		got := silent.heard()
		for _, args := range []string{"[3]", "[7]", "[8]"} {
			if slices.Contains(got, args) {
				t.Errorf("%s came: %v", args, got)
			}
		}
		for _, args := range []string{"[1]", "[2]", "[4]", "[5]", "[9]"} {
			if !slices.Contains(got, args) {
				t.Errorf("%s did not come: %v", args, got)
			}
		}
		nothingIsLeft(t, nodes)
		p = one.publish("[10]", time.Hour)
		synctest.Wait()
		silent.Close()
		becomes(t, p, "3, n1 [10], n2 [10], n3 left")
		becomes(t, one.publish("[11]", 0), "2")
		// The caller gives up.
		nodes[2].listen(false)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := one.publish("[12]", time.Hour).Wait(ctx, nil); err == nil {
			t.Error("no error after the caller's end")
		}
		nothingIsLeft(t, nodes)
		for _, n := range nodes {
			if n.local.Topics().Stats().Published == 0 && n != nodes[2] {
				t.Errorf("%s counts nothing", n.name)
			}
		}
	})
}

// A consumer that comes back at another node is one member, there.
func TestPublishToWhoMoved(t *testing.T) {
	inCluster(t, 3, func(_ *bus.Memory, nodes []*testNode) {
		o := dispatch.SubscriptionOptions{Group: "g", ConsumerID: "c", Topics: []string{"t"}, NoEvents: true}
		for range 3 {
			for _, n := range nodes {
				time.Sleep(time.Millisecond) // of two that come by one name the one that came later stays
				s, err := n.Subscribe(o)
				if err != nil {
					t.Fatal(err)
				}
				for _, from := range nodes {
					becomes(t, from.publish("[1]", 0), "1")
				}
				n.others = append(n.others, s)
				synctest.Wait()
				count := 0
				for _, ok := s.Published(); ok; _, ok = s.Published() {
					count++
				}
				if count != len(nodes) {
					t.Errorf("%d messages at %s", count, n.name)
				}
			}
		}
		o.Topics = nil
		s, err := nodes[1].Subscribe(o)
		if err != nil {
			t.Fatal(err)
		}
		nodes[1].others = append(nodes[1].others, s)
		becomes(t, nodes[0].publish("[1]", 0), "0")
		synctest.Wait()
		for _, n := range nodes {
			for _, p := range n.all() {
				if len(p.members) != 0 {
					t.Errorf("%s takes %v of %s to be members", n.name, p.members, p.name)
				}
			}
		}
	})
}

// While ways between nodes break and are mended, each consumer gets what each node publishes
// in order and once, and a publish says truly who got it.
func TestPublishWhileWaysBreak(t *testing.T) {
	const messages = 150
	inCluster(t, 3, func(m *bus.Memory, nodes []*testNode) {
		var listeners []*listener
		for _, n := range nodes {
			listeners = append(listeners, n.listen(true))
		}
		stop := make(chan struct{})
		var breaking, publishing sync.WaitGroup
		breaking.Go(func() {
			r := rand.New(rand.NewPCG(1, 1))
			for {
				a, b := fmt.Sprint("n", 1+r.IntN(3)), fmt.Sprint("n", 1+r.IntN(3))
				if a != b {
					m.Cut(a, b)
					time.Sleep(time.Duration(r.IntN(8000)) * time.Millisecond)
					m.Heal(a, b)
				}
				select {
				case <-stop:
					return
				case <-time.After(time.Duration(r.IntN(5000)) * time.Millisecond):
				}
			}
		})
		type told struct {
			args string
			of   map[string]publish.Outcome
		}
		results := make([][]told, len(nodes))
		for i, n := range nodes {
			publishing.Go(func() {
				r := rand.New(rand.NewPCG(uint64(i), 2))
				for number := range messages {
					args := fmt.Sprintf("[%d,%d]", i, number)
					p := n.publish(args, time.Duration(r.IntN(2))*time.Minute)
					res, err := p.Wait(context.Background(), nil)
					if err != nil {
						t.Error(err)
					}
					of := map[string]publish.Outcome{}
					for _, o := range res.Outcomes {
						if _, again := of[o.ConsumerID]; again {
							t.Errorf("%s: %s twice", args, o.ConsumerID)
						}
						of[o.ConsumerID] = o
					}
					results[i] = append(results[i], told{args, of})
					time.Sleep(time.Duration(r.IntN(1000)) * time.Millisecond)
				}
			})
		}
		publishing.Wait()
		close(stop)
		breaking.Wait()
		time.Sleep(time.Minute)
		away := 0
		for j, l := range listeners {
			got, last := map[string]bool{}, map[string]int{}
			for _, args := range l.heard() {
				from, number, _ := strings.Cut(strings.Trim(args, "[]"), ",")
				n, _ := strconv.Atoi(number)
				if before, ok := last[from]; ok && n <= before {
					t.Errorf("%s got %s after %d", nodes[j].name, args, before)
				}
				last[from] = n
				got[args] = true
			}
			for _, all := range results {
				for _, r := range all {
					o, mentioned := r.of[nodes[j].name]
					switch {
					case mentioned && o.Reason == publish.Unreachable:
						away++
					case mentioned && o.Reason == publish.Answered && string(o.Args) != r.args:
						t.Errorf("%s answered %s to %s", nodes[j].name, o.Args, r.args)
					case !got[r.args]:
						t.Errorf("%s did not get %s, and the publisher was told %v", nodes[j].name, r.args, o)
					}
				}
			}
		}
		if away == 0 {
			t.Error("nobody was ever out of reach")
		}
		t.Logf("%d times somebody was out of reach", away)
		nothingIsLeft(t, nodes)
	})
}
