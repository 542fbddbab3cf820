package cli

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// epochTime is when nodes of these tests have started.
var epochTime = time.Unix(1_700_000_000, 0)

// told is what a node tells after so long, of so many events in, twice as many out, half as
// many emits, each of which took a millisecond.
func told(after time.Duration, in uint64) *fanoutv1.ListNodesResponse_Node_Activity {
	return &fanoutv1.ListNodesResponse_Node_Activity{
		At: timestamppb.New(epochTime.Add(after)), EventsReceived: in, EventsSent: 2 * in, Emits: in / 2,
		FanoutTime: durationpb.New(time.Duration(in/2) * time.Millisecond),
	}
}

func TestRates(t *testing.T) {
	var r rates
	step := func(nodes map[string]*fanoutv1.ListNodesResponse_Node_Activity) {
		s := &sample{}
		for epoch, a := range nodes {
			s.nodes = append(s.nodes, &fanoutv1.ListNodesResponse_Node{Epoch: epoch, Activity: a})
		}
		r.add(s)
	}
	type nodes = map[string]*fanoutv1.ListNodesResponse_Node_Activity
	for _, tt := range []struct {
		name  string
		nodes nodes
		in    float64 // of all
		known bool
	}{
		{"the first", nodes{"a": told(0, 100), "b": told(0, 1000)}, 0, false},
		{"two nodes, one of which tells every 2 s", nodes{"a": told(time.Second, 300), "b": told(2*time.Second, 1020)}, 210, true},
		{"one has told nothing new", nodes{"a": told(2*time.Second, 300), "b": told(2*time.Second, 1020)}, 10, true},
		{"one has begun anew", nodes{"a": told(3*time.Second, 0), "b": told(4*time.Second, 1060)}, 20, true},
		{"one has left, one is new", nodes{"a": told(4*time.Second, 5), "c": told(4*time.Second, 7)}, 5, true},
		{"a clock was set", nodes{"a": told(time.Second, 10), "c": told(5*time.Second, 7)}, 0, true},
		{"one tells nothing", nodes{"c": nil}, 0, false},
	} {
		step(tt.nodes)
		got := r.all()
		if got.known != tt.known || math.Abs(got.in-tt.in) > 1e-6 || math.Abs(got.out-2*got.in) > 1e-6 {
			t.Errorf("%s: %+v, want %v/s, known %v", tt.name, got, tt.in, tt.known)
		}
		if got.emits > 0 && fanOut(&got) != "1.0 ms" {
			t.Errorf("%s: an emit takes %s", tt.name, fanOut(&got))
		}
	}
	at := epochTime
	group := func(delivered uint64) groupRate {
		at = at.Add(2 * time.Second)
		r.add(&sample{at: at, groups: []*fanoutv1.ListConsumersResponse_Group{{Name: "g", Delivered: delivered}}})
		return *r.groups["g"]
	}
	if g := group(10); g.known {
		t.Errorf("the first: %+v", g)
	}
	if g := group(30); !g.known || g.delivered != 10 {
		t.Errorf("20 in 2 s: %+v", g)
	}
	if g := group(5); g.known {
		t.Errorf("one that began anew: %+v", g)
	}
}

// view is a top that has seen so many groups and nodes.
func view(groups, nodes int) *top {
	s := &sample{at: epochTime, info: &fanoutv1.GetServerInfoResponse{Version: "1.0.0", Node: "n0", Connections: 7, Rooms: 9, StartedAt: timestamppb.New(epochTime)}}
	for i := range groups {
		s.groups = append(s.groups, &fanoutv1.ListConsumersResponse_Group{Name: fmt.Sprintf("g%d", i), Consumers: []*fanoutv1.ListConsumersResponse_Consumer{{}}, DeadLetters: 1})
	}
	for i := range nodes {
		a := told(0, 0)
		a.Sessions, a.QueuedBytes = map[string]uint32{"websocket": 2, "polling": 1}, 512
		s.nodes = append(s.nodes, &fanoutv1.ListNodesResponse_Node{Name: fmt.Sprintf("n%d", i), Epoch: fmt.Sprint(i), State: fanoutv1.ListNodesResponse_Node_ALIVE, Activity: a})
	}
	t := &top{run: &run{app: &app{connect: connectFlags{address: "localhost:8081"}}}, live: true}
	t.take(s)
	return t
}

func texts(page []line) string {
	var b strings.Builder
	for _, l := range page {
		b.WriteString(l.text + "\n")
	}
	return b.String()
}

func TestTopPage(t *testing.T) {
	v := view(2, 2)
	wide := texts(v.page(epochTime, 120, 50))
	for _, want := range []string{
		"\nconnections   7           polling 2, websocket 4\n",
		"\nrooms         2                         nodes         2\n",
		"\nqueued        1.0 KiB     for browsers  waiting       0 B         for consumers\n",
		"\nconsumers     2           in 2 groups   dead letters  2\n",
		"\ng0     1        ",
		"\nn1    alive  ",
	} {
		if !strings.Contains(wide, want) {
			t.Errorf("no %q in\n%s", want, wide)
		}
	}
	for text := range strings.Lines(wide) {
		if strings.TrimRight(text, " \n") != strings.TrimSuffix(text, "\n") {
			t.Errorf("blanks at the end of %q", text)
		}
	}
	// A narrow terminal has all figures too, each on a line of its own.
	narrow := texts(v.page(epochTime, 40, 50))
	for _, want := range []string{"\nrooms         2\n", "\nnodes         2\n", "\ndead letters  2\n"} {
		if !strings.Contains(narrow, want) {
			t.Errorf("no %q in\n%s", want, narrow)
		}
	}

	// What does not fit is counted.
	for _, tt := range []struct{ groups, nodes, groupsLeft, nodesLeft int }{
		{30, 2, 22, 0}, {2, 30, 0, 22}, {30, 30, 25, 26}, {4, 6, 0, 0},
	} {
		page := view(tt.groups, tt.nodes).page(epochTime, 120, 24)
		text := texts(page)
		if len(page) > 24 {
			t.Errorf("%d groups, %d nodes: %d lines\n%s", tt.groups, tt.nodes, len(page), text)
		}
		for _, left := range []int{tt.groupsLeft, tt.nodesLeft} {
			if more := fmt.Sprintf("… and %d more\n", left); left > 0 && !strings.Contains(text, more) {
				t.Errorf("%d groups, %d nodes: no %q in\n%s", tt.groups, tt.nodes, more, text)
			}
		}
		if tt.groupsLeft+tt.nodesLeft == 0 && strings.Contains(text, "more") {
			t.Errorf("%d groups, %d nodes: all fit\n%s", tt.groups, tt.nodes, text)
		}
	}
	for height := range 24 { // nothing is too low
		v.page(epochTime, height, height)
	}

	// An error is shown beside what was there before it, until there is something new.
	was := v.last
	v.take(&sample{err: errors.New("no daemon answers")})
	if text := texts(v.page(epochTime.Add(90*time.Second), 120, 50)); !strings.Contains(text, "\nno daemon answers; what is shown was so 1m30s ago\n") || !strings.Contains(text, "\nconnections   7 ") {
		t.Errorf("with an error:\n%s", text)
	}
	next := *was
	next.unreachable = []string{"n1"}
	v.take(&next)
	if text := texts(v.page(epochTime, 120, 50)); strings.Contains(text, "no daemon") || !strings.Contains(text, "whose part is missing: n1\n") {
		t.Errorf("after an error:\n%s", text)
	}
	first := &top{run: v.run}
	first.take(&sample{err: errors.New("no daemon answers")})
	if text := texts(first.page(epochTime, 120, 50)); text != "fanoutd  localhost:8081\nno daemon answers\n" {
		t.Errorf("with nothing but an error:\n%s", text)
	}
}

// Groups that somebody should look at come first, others stay where they are.
func TestTopOrder(t *testing.T) {
	v := view(4, 3)
	v.last.groups[2].OldestPendingAge = durationpb.New(5 * time.Second)
	v.last.groups[3].Warning = "look"
	v.last.nodes[1].State = fanoutv1.ListNodesResponse_Node_SUSPECTED
	order := func(rows [][]string) (all string) {
		for _, row := range rows {
			all += row[0] + " "
		}
		return all
	}
	if got, want := order(v.groupRows())+order(v.nodeRows()), "g3 g2 g0 g1 n1 n0 n2 "; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if text := texts(v.page(epochTime, 120, 50)); !strings.Contains(text, "nodes         3           1 suspected\n") {
		t.Errorf("no suspect in\n%s", text)
	}
}

// A look for slow connections goes around: what it has found is kept until it is looked at
// again.
func TestSlowScan(t *testing.T) {
	var s slowScan
	s.found = map[string]foundSlow{}
	page := func(token string, waiting ...uint32) {
		p := &fanoutv1.ListConnectionsResponse{NextPageToken: token}
		for i, n := range waiting {
			id := fmt.Sprint(s.token, i)
			if n > 0 || i < 2 {
				p.Connections = append(p.Connections, &fanoutv1.Connection{Id: id, QueuedBytes: n})
			}
		}
		s.page(p)
	}
	check := func(what, want string, looked int, all bool) {
		t.Helper()
		known := s.known()
		got := ""
		for _, c := range known.list {
			got += fmt.Sprintf("%s:%d ", c.GetId(), c.GetQueuedBytes())
		}
		if got != want || known.looked != looked || known.all != all {
			t.Errorf("%s: %q, looked at %d, all %v, want %q, %d, %v", what, got, known.looked, known.all, want, looked, all)
		}
	}
	page("p", 5, 0, 7)
	check("a page", "2:7 0:5 ", 3, false)
	page("", 6, 9)
	check("all", "p1:9 2:7 p0:6 0:5 ", 5, true)
	page("p", 0, 1)
	check("the first page again", "p1:9 2:7 p0:6 1:1 ", 5, true)
	page("", 6)
	check("all again", "p0:6 1:1 ", 3, true)
}
