package test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// callTime is the deadline of calls to a cluster that is ill: twice what a node waits for
// another's answer. So an answer that is too late is a fault, and no busy machine.
const callTime = 10 * time.Second

// emitted is an emit to everybody, and its answer.
type emitted struct {
	node    string // that was asked
	caller  string
	number  int // of the caller's emits, from 1
	applied bool
	answer  *fanoutv1.EmitResponse
}

// heardBy is what a connection received of that.
type heardBy struct {
	id, node string
	numbers  map[string][]int // by caller, as they came
}

// judge compares what was answered with what connections received that were there all the
// time. It returns what contradicts the promises, and how many emits were not received at
// a node that their answer does not name, by the node that was asked: those were on their
// way to a node that was given up meanwhile.
func judge(emits []emitted, connections []heardBy) (faults []string, untold map[string]int) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	received := make([]map[string]bool, len(connections)) // by caller and number
	for i, c := range connections {
		received[i] = map[string]bool{}
		for caller, numbers := range c.numbers {
			last := 0
			for _, number := range numbers {
				if number <= last {
					fault("%s at %s got %s %d after %d", c.id, c.node, caller, number, last)
				}
				last = number
				received[i][fmt.Sprint(caller, number)] = true
			}
		}
	}
	untold = map[string]int{}
	for _, e := range emits {
		total, own, missed := 0, 0, map[string]bool{}
		for i, c := range connections {
			switch {
			case received[i][fmt.Sprint(e.caller, e.number)]:
				total++
				if c.node == e.node {
					own++
				}
			case !slices.Contains(e.answer.GetUnreachable(), c.node):
				missed[c.node] = true
			}
		}
		matched := int(e.answer.GetMatched())
		if (len(e.answer.GetUnreachable()) > 0) != e.answer.GetPartial() {
			fault("%s %d: partial without a name, or the other way round: %v", e.caller, e.number, e.answer)
		}
		switch {
		case missed[e.node]:
			fault("%s %d was not received by all at the node that was asked: %v", e.caller, e.number, e.answer)
		case !e.applied:
			untold[e.node] += len(missed)
			if matched != own {
				fault("%s %d was received by %d at the node that was asked: %v", e.caller, e.number, own, e.answer)
			}
		case len(missed) > 0:
			fault("%s %d was not received at a node that is not named: %v", e.caller, e.number, e.answer)
		case matched > total || matched < total && !e.answer.GetPartial():
			fault("%s %d was received by %d: %v", e.caller, e.number, total, e.answer)
		}
	}
	return faults, untold
}

// TestJudge: judge finds what there is to be found.
func TestJudge(t *testing.T) {
	everywhere := []heardBy{{"a", "n1", map[string][]int{"c": {1, 2}}}, {"b", "n2", map[string][]int{"c": {1, 2}}}}
	here := []heardBy{{"a", "n1", map[string][]int{"c": {1}}}, {"b", "n2", nil}}
	of := func(applied bool, number int, answer *fanoutv1.EmitResponse) []emitted {
		return []emitted{{"n1", "c", number, applied, answer}}
	}
	for name, c := range map[string]struct {
		emits       []emitted
		connections []heardBy
		faults      int
		untold      int
	}{
		"all received":           {of(true, 1, &fanoutv1.EmitResponse{Matched: 2}), everywhere, 0, 0},
		"all received, accepted": {of(false, 2, &fanoutv1.EmitResponse{Matched: 1, Forwarded: 1}), everywhere, 0, 0},
		"a node is named":        {of(true, 1, &fanoutv1.EmitResponse{Matched: 1, Partial: true, Unreachable: []string{"n2"}}), here, 0, 0},
		"named, and received":    {of(true, 1, &fanoutv1.EmitResponse{Matched: 1, Partial: true, Unreachable: []string{"n2"}}), everywhere, 0, 0},
		"accepted, and lost":     {of(false, 1, &fanoutv1.EmitResponse{Matched: 1, Forwarded: 1}), here, 0, 1},

		"applied, and lost":     {of(true, 1, &fanoutv1.EmitResponse{Matched: 2}), here, 1, 0},
		"lost and not counted":  {of(true, 1, &fanoutv1.EmitResponse{Matched: 1}), here, 1, 0},
		"counts too few":        {of(true, 1, &fanoutv1.EmitResponse{Matched: 1}), everywhere, 1, 0},
		"counts too many":       {of(true, 1, &fanoutv1.EmitResponse{Matched: 2, Partial: true, Unreachable: []string{"n2"}}), here, 1, 0},
		"accepted, miscounted":  {of(false, 1, &fanoutv1.EmitResponse{Matched: 2}), everywhere, 1, 0},
		"lost where it was":     {of(false, 2, &fanoutv1.EmitResponse{Matched: 1, Partial: true, Unreachable: []string{"n2"}}), here, 1, 0},
		"partial, nobody named": {of(true, 1, &fanoutv1.EmitResponse{Matched: 2, Partial: true}), everywhere, 1, 0},
		"doubled":               {nil, []heardBy{{"a", "n1", map[string][]int{"c": {1, 1}}}}, 1, 0},
		"out of order":          {nil, []heardBy{{"a", "n1", map[string][]int{"c": {2, 1}}}}, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			faults, untold := judge(c.emits, c.connections)
			if len(faults) != c.faults || untold["n1"] != c.untold {
				t.Errorf("%d faults, %d untold, want %d, %d: %q", len(faults), untold["n1"], c.faults, c.untold, faults)
			}
		})
	}
}

// caller emits to everybody, one emit after the other.
type caller struct {
	node *clusterNode
	name string
	wait fanoutv1.EmitRequest_Wait
	to   []*fanoutv1.Target // that it takes turns with; each is everybody

	mu    sync.Mutex
	emits []emitted
}

// run emits until ctx ends. An emit has an answer in its time, and a good one, whatever
// the cluster is like.
func (c *caller) run(ctx context.Context, t *testing.T) {
	pace := time.NewTicker(5 * time.Millisecond) // the machine has other things to do
	defer pace.Stop()
	for {
		select {
		case <-pace.C:
		case <-ctx.Done():
			return
		}
		number := c.number() + 1
		call, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTime)
		answer, err := c.node.emitter.Emit(call, &fanoutv1.EmitRequest{
			To: c.to[number%len(c.to)], Event: "numbered", ArgsJson: fmt.Sprintf("[%q,%d]", c.name, number), Wait: c.wait,
		})
		cancel()
		if err != nil {
			t.Errorf("%s %d: %v", c.name, number, err)
			return
		}
		c.mu.Lock()
		c.emits = append(c.emits, emitted{c.node.name, c.name, number, c.wait == fanoutv1.EmitRequest_APPLIED, answer})
		c.mu.Unlock()
	}
}

// number is that of the latest emit.
func (c *caller) number() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.emits)
}

// partial counts the emits that some node was missing of.
func (c *caller) partial() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.emits {
		if e.answer.GetPartial() {
			n++
		}
	}
	return n
}

// listener is a browser that notes the callers' emits, answers what wants an answer, and
// says numbers itself.
type listener struct {
	*browser
	node *clusterNode

	mu      sync.Mutex
	numbers map[string][]int
	said    int
}

func listen(ctx context.Context, t *testing.T, n *clusterNode) *listener {
	t.Helper()
	l := &listener{node: n, numbers: map[string][]int{}}
	l.browser = openHearingBrowser(ctx, t, n.listen, l.receive)
	return l
}

// receive takes an event: 42 and its arguments, with an id between if it wants an answer.
func (l *listener) receive(b *browser, packet string) {
	rest, ok := strings.CutPrefix(packet, "42")
	if !ok {
		return
	}
	at := strings.IndexByte(rest, '[')
	if at > 0 {
		_ = b.say("43" + rest[:at] + "[]")
	}
	var name, caller string
	var number int
	args := []any{&name, &caller, &number}
	if json.Unmarshal([]byte(rest[max(at, 0):]), &args) != nil || name != "numbered" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.numbers[caller] = append(l.numbers[caller], number)
}

// has reports whether the latest that it received of a caller is this number.
func (l *listener) has(caller string, number int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	numbers := l.numbers[caller]
	return len(numbers) > 0 && numbers[len(numbers)-1] == number
}

func (l *listener) heard() heardBy {
	l.mu.Lock()
	defer l.mu.Unlock()
	return heardBy{l.id, l.node.name, l.numbers}
}

// talk says numbers until ctx ends.
func (l *listener) talk(ctx context.Context) {
	pace := time.NewTicker(50 * time.Millisecond)
	defer pace.Stop()
	for {
		select {
		case <-pace.C:
		case <-ctx.Done():
			return
		}
		l.mu.Lock()
		l.said++
		number := l.said
		l.mu.Unlock()
		if l.say(fmt.Sprintf(`42["say",%d]`, number)) != nil {
			return
		}
	}
}

func (l *listener) saidSoFar() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.said
}
