package dispatch

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio"
)

// TestModel does random things to a group and compares it with a model that
// knows, for each connection, no more than the list of its unsettled events: each
// is delivered in order, to one consumer at a time, until it is acknowledged; the
// bounds hold; and nothing that could be delivered or let in is left waiting.
func TestModel(t *testing.T) {
	for range 30 {
		seed := rand.Uint64()
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { newModel(t, seed).run(1500) })
		})
	}
}

const (
	modelQueueBytes        = 3000
	modelSubscriptionBytes = 9000
)

// model is a group and what is to be expected of it.
type model struct {
	t             *testing.T
	rand          *rand.Rand
	dispatcher    *Dispatcher
	group         *group
	connections   []*modelConnection
	subscriptions []*Subscription // that were not closed
	born          int             // consumer ids so far
	settled       map[*Subscription]bool
	told          map[*Subscription]map[string]bool // connections that it owns, as far as it knows
	// What those asked for that have left: "/" for everything, "/chat" for that.
	// Nothing is forgotten in the time that the model runs.
	remembered, queuedOnly map[string]bool
}

type modelConnection struct {
	id, namespace string
	client        *client
	sequence      uint64
	held          *offer
	events        []modelEvent // accepted and not settled, in order
	pausedUntil   time.Time
}

type modelEvent struct {
	event    *Event
	to       *Subscription // that it is in flight to; nil: it is not
	acked    bool          // an earlier one is in flight
	attempt  uint32
	refusals int
	suspect  suspicion
	strikes  int
}

func newModel(t *testing.T, seed uint64) *model {
	m := &model{
		t: t, rand: rand.New(rand.NewPCG(seed, 0)),
		settled: map[*Subscription]bool{}, told: map[*Subscription]map[string]bool{}, remembered: map[string]bool{}, queuedOnly: map[string]bool{},
	}
	m.dispatcher = New(Options{
		QueueBytes: modelQueueBytes, SubscriptionBytes: modelSubscriptionBytes,
		StallTimeout: 1000 * time.Hour, GroupMemory: 1000 * time.Hour, Logger: slog.New(slog.DiscardHandler),
	})
	m.subscribe()
	m.group = m.dispatcher.groups["g"]
	return m
}

func (m *model) run(steps int) {
	steady := map[string]func(){"push": m.push, "poll": m.poll, "ack": m.ack, "nack": m.nack, "sleep": m.sleep, "withdraw": m.withdraw}
	moving := map[string]func(){"subscribe": m.subscribe, "close": m.close, "drain": m.drain, "end": m.end, "discard": m.discard}
	for range steps {
		acts, kind := steady, "steady"
		if m.rand.IntN(15) == 0 {
			acts, kind = moving, "moving"
		}
		names := slices.Sorted(maps.Keys(acts))
		name := names[m.rand.IntN(len(names))]
		before := m.loads()
		acts[name]()
		m.letIn()
		m.check(name)
		if kind == "steady" && !m.draining() {
			m.checkLoads(name, before)
		}
		if m.t.Failed() {
			return
		}
	}
	m.finish()
}

// finish has one consumer take all that is left.
func (m *model) finish() {
	for _, s := range slices.Clone(m.subscriptions) {
		s.Close()
		m.ended(s)
	}
	m.subscriptions = nil
	last, err := m.dispatcher.Subscribe(SubscriptionOptions{Group: "g", ConsumerID: "last", Authorize: true, Assignments: true, AckWait: time.Hour})
	ok(m.t, err)
	m.subscriptions = append(m.subscriptions, last)
	m.told[last] = map[string]bool{}
	for range 100 {
		time.Sleep(13 * time.Second) // no pause is longer
		m.letIn()
		for m.take(last) {
		}
		for _, c := range m.connections {
			for len(c.events) > 0 && c.events[0].to == last && !m.t.Failed() {
				ok(m.t, last.Ack(c.events[0].event.ID()))
				m.acked(c, 0)
			}
		}
		m.letIn()
		m.check("finish")
	}
	for _, c := range slices.Clone(m.connections) {
		expect(m.t, "what is left of "+c.id, len(c.events), 0)
		m.group.end(c.id)
	}
	m.tell(last)
	expect(m.t, "connections that the last one was told of, and not of their end", len(m.told[last]), 0)
	last.Close()
	m.group.mu.Lock()
	defer m.group.mu.Unlock()
	expect(m.t, "queues left", len(m.group.queues), 0)
	expect(m.t, "events left", m.group.events, 0)
}

func (m *model) anyConnection() *modelConnection {
	if len(m.connections) == 0 || len(m.connections) < 12 && m.rand.IntN(4) == 0 {
		n := m.rand.IntN(1e9)
		c := &modelConnection{id: fmt.Sprint("c", n), namespace: [...]string{"/", "/chat"}[n%2], client: &client{view: &view{}, connected: 1}}
		c.client.view.freeze(&sio.Connection{ID: c.id})
		m.connections = append(m.connections, c)
		return m.connections[len(m.connections)-1]
	}
	return m.connections[m.rand.IntN(len(m.connections))]
}

func (m *model) push() {
	c := m.anyConnection()
	if c.held != nil {
		return // its reader waits
	}
	c.sequence++
	size := 256 + m.rand.IntN(1000)
	if m.rand.IntN(20) == 0 {
		size = modelQueueBytes + m.rand.IntN(modelSubscriptionBytes)
	}
	e := &Event{Kind: Message, Namespace: c.namespace, ConnectionID: c.id, Sequence: c.sequence, ReceivedAt: time.Now(), size: size}
	switch m.group.offer(c.client, e, false) {
	case accepted:
		c.events = append(c.events, modelEvent{event: e})
	case full:
		c.held = newOffer(c.client, e, 1)
		m.group.hold(c.held)
	}
}

// letIn notes which of the events that were held have been let in.
func (m *model) letIn() {
	for _, c := range m.connections {
		if c.held == nil {
			continue
		}
		select {
		case <-c.held.done:
			if c.held.accepted.Load() > 0 {
				c.events = append(c.events, modelEvent{event: c.held.event})
			}
			c.held = nil
		default:
		}
	}
}

func (m *model) anySubscription() *Subscription {
	if len(m.subscriptions) == 0 {
		return nil
	}
	return m.subscriptions[m.rand.IntN(len(m.subscriptions))]
}

func (m *model) poll() {
	if s := m.anySubscription(); s != nil {
		m.take(s)
	}
}

// take polls once; false: there was nothing.
func (m *model) take(s *Subscription) bool {
	if m.rand.IntN(2) == 0 {
		m.tell(s)
	}
	d, more, err := s.Poll()
	if !more && err == nil && m.tell(s) {
		d, more, err = s.Poll()
	}
	if err != nil && (!errors.Is(err, ErrDrained) || m.inFlight(s) > 0) {
		m.t.Errorf("Poll: %v", err)
	}
	if !more {
		return false
	}
	i := slices.IndexFunc(m.connections, func(c *modelConnection) bool { return c.id == d.ConnectionID })
	if i < 0 {
		m.t.Errorf("a delivery of %s, which is not there", d.ConnectionID)
		return false
	}
	c := m.connections[i]
	if s.options.Assignments && !m.told[s][c.id] {
		m.t.Errorf("%s is delivered to a consumer that was not told that it owns the connection", d.ID())
	}
	j := slices.IndexFunc(c.events, func(e modelEvent) bool { return e.to == nil && !e.acked })
	if j < 0 || c.events[j].event != d.Event {
		m.t.Errorf("%s is not the next of its connection", d.ID())
		return false
	}
	e := &c.events[j]
	if n, few := m.suspects(s); e.suspect > 0 && n >= min(few, e.suspect.company()) {
		m.t.Errorf("%s, one among %d, is delivered though %d suspects are in flight, of which one is among %d", d.ID(), e.suspect.company(), n, few)
	}
	e.attempt++
	e.to = s
	expect(m.t, "attempt", d.Attempt, e.attempt)
	expect(m.t, "served", s.interest.wants(d.Event), true)
	if time.Now().Before(c.pausedUntil) {
		m.t.Errorf("%s is delivered during a pause", d.ID())
	}
	for _, e := range c.events {
		if e.to != nil && e.to != s {
			m.t.Errorf("%s is delivered while %s is in flight to another consumer", d.ID(), e.event.ID())
		}
	}
	return true
}

// tell takes all that s is to be told of what it owns; false: there was nothing.
func (m *model) tell(s *Subscription) (told bool) {
	for h, ok := s.Handover(); ok; h, ok = s.Handover() {
		for _, id := range h.Released {
			expect(m.t, "was told of what is released", m.told[s][id], true)
			delete(m.told[s], id)
		}
		for _, c := range h.Assigned {
			expect(m.t, "was told of what is assigned", m.told[s][c.ID], false)
			m.told[s][c.ID] = true
		}
		told = true
	}
	return told
}

// suspects returns how many are in flight to s, and the least that one of them may be among.
func (m *model) suspects(s *Subscription) (n, few int) {
	few = math.MaxInt
	for _, c := range m.connections {
		for _, e := range c.events {
			if e.to == s && e.suspect > 0 {
				n++
				few = min(few, e.suspect.company())
			}
		}
	}
	return n, few
}

func (m *model) inFlight(s *Subscription) (n int) {
	for _, c := range m.connections {
		for _, e := range c.events {
			if e.to == s {
				n++
			}
		}
	}
	return n
}

// anyDelivery returns an event, most often one that is in flight, and a consumer,
// most often the one that it is in flight to. c is nil if there is none.
func (m *model) anyDelivery() (s *Subscription, c *modelConnection, i int) {
	c = m.anyConnection()
	if len(c.events) == 0 {
		return nil, nil, 0
	}
	i = m.rand.IntN(len(c.events))
	if s = c.events[i].to; s == nil || m.rand.IntN(10) == 0 {
		s = m.anySubscription()
	}
	if s == nil {
		return nil, nil, 0
	}
	return s, c, i
}

func (m *model) ack() {
	s, c, i := m.anyDelivery()
	if c == nil {
		return
	}
	e := &c.events[i]
	err := s.Ack(e.event.ID())
	if inFlight := e.to == s; inFlight != (err == nil) {
		m.t.Errorf("Ack: %v, in flight to it: %t", err, inFlight)
	} else if inFlight {
		m.settled[s] = true
		m.acked(c, i)
	}
}

func (m *model) acked(c *modelConnection, i int) {
	c.events[i].to, c.events[i].acked = nil, true
	for len(c.events) > 0 && c.events[0].acked {
		c.events = c.events[1:]
	}
}

// rewound takes events[i:] back out of flight; those that were acked are done.
func (c *modelConnection) rewound(i int) {
	kept := c.events[:i]
	for _, e := range c.events[i:] {
		if e.to = nil; !e.acked {
			kept = append(kept, e)
		}
	}
	c.events = kept
}

func (m *model) nack() {
	s, c, i := m.anyDelivery()
	if c == nil {
		return
	}
	e := &c.events[i]
	err := s.Nack(e.event.ID(), 0)
	if inFlight := e.to == s; inFlight != (err == nil) {
		m.t.Errorf("Nack: %v, in flight to it: %t", err, inFlight)
	} else if !inFlight {
		return
	}
	m.settled[s] = true
	e.refusals++
	e.strikes++
	e.suspect = 0
	if e.strikes >= 10 {
		c.rewound(i)
		c.events = slices.Delete(c.events, i, i+1)
		return
	}
	c.pausedUntil = time.Now().Add(50 * time.Millisecond << min(e.refusals, 8))
	c.rewound(i)
	m.group.mu.Lock()
	q := m.group.queues[c.id]
	m.group.mu.Unlock()
	q.resume() // as the timer of an earlier pause that came too late to be stopped
}

func (m *model) sleep() {
	time.Sleep(time.Duration(m.rand.IntN(500)) * time.Millisecond)
	synctest.Wait()
}

func (m *model) subscribe() {
	if len(m.subscriptions) > 4 {
		return
	}
	m.born++
	o := SubscriptionOptions{Group: "g", ConsumerID: fmt.Sprint(m.born), Authorize: true, MaxInFlight: 1 + m.rand.IntN(20), AckWait: time.Hour}
	if m.rand.IntN(3) == 0 {
		o.Namespaces = []string{"/chat"}
	}
	replaced := m.anySubscription()
	if replaced != nil && m.rand.IntN(4) == 0 {
		o.ConsumerID = replaced.options.ConsumerID
	} else {
		replaced = nil
	}
	o.Assignments = m.rand.IntN(3) > 0
	s, err := m.dispatcher.Subscribe(o)
	ok(m.t, err)
	m.subscriptions = append(m.subscriptions, s)
	m.told[s] = map[string]bool{}
	if replaced != nil {
		expect(m.t, "why the old one ended", replaced.Err(), ErrReplaced)
		m.ended(replaced)
	}
}

func (m *model) close() {
	if s := m.anySubscription(); s != nil {
		s.Close()
		m.ended(s)
	}
}

// ended takes back what was in flight to s. What its end let in comes first: nobody
// may ask for that any more, either.
func (m *model) ended(s *Subscription) {
	m.letIn()
	m.subscriptions = slices.DeleteFunc(m.subscriptions, func(o *Subscription) bool { return o == s })
	suspects, _ := m.suspects(s)
	inFlight := m.inFlight(s)
	for _, c := range m.connections {
		if !slices.ContainsFunc(c.events, func(e modelEvent) bool { return e.to == s }) {
			continue
		}
		for i := range c.events {
			if e := &c.events[i]; e.to == s {
				beside := inFlight
				if e.suspect > 0 {
					beside = suspects
				}
				if beside == 1 {
					e.strikes++
				}
				e.suspect = suspicionAmong(beside)
			}
		}
		c.rewound(0)
		c.events = slices.DeleteFunc(c.events, func(e modelEvent) bool { return e.strikes >= 10 })
	}
	what := "/"
	if len(s.options.Namespaces) > 0 {
		what = "/chat"
	}
	switch {
	case m.settled[s]:
		m.remembered[what] = true
	case len(m.subscriptions) == 0 && len(m.remembered)+len(m.queuedOnly) == 0 && m.waiting():
		m.queuedOnly[what] = true
	}
	m.prune()
}

func (m *model) waiting() bool {
	return slices.ContainsFunc(m.connections, func(c *modelConnection) bool { return len(c.events) > 0 })
}

// prune drops what nobody asks for any more.
func (m *model) prune() {
	for _, c := range m.connections {
		wanted := m.remembered["/"] || m.remembered[c.namespace] || m.queuedOnly["/"] || m.queuedOnly[c.namespace] ||
			slices.ContainsFunc(m.subscriptions, func(s *Subscription) bool { return s.interest.serves(c.namespace) })
		if !wanted {
			c.events = slices.DeleteFunc(c.events, func(e modelEvent) bool { return e.to == nil && !e.acked })
		}
	}
}

func (m *model) drain() {
	if s := m.anySubscription(); s != nil {
		s.Drain()
	}
}

func (m *model) draining() bool {
	m.group.mu.Lock()
	defer m.group.mu.Unlock()
	return slices.ContainsFunc(m.subscriptions, func(s *Subscription) bool { return s.draining })
}

// withdraw gives up an event that is held.
func (m *model) withdraw() {
	if c := m.anyConnection(); c.held != nil {
		expect(m.t, "withdrawn", m.group.withdraw(c.held), true)
		c.held = nil
	}
}

// discard removes a connection with all that it has queued.
func (m *model) discard() {
	c := m.anyConnection()
	m.group.discard(c.id)
	m.connections = slices.DeleteFunc(m.connections, func(o *modelConnection) bool { return o == c })
}

// end ends a connection; what it has queued is to be delivered still.
func (m *model) end() {
	c := m.anyConnection()
	if c.held != nil {
		expect(m.t, "withdrawn", m.group.withdraw(c.held), true)
		c.held = nil
	}
	if len(c.events) == 0 {
		m.connections = slices.DeleteFunc(m.connections, func(o *modelConnection) bool { return o == c })
	}
	m.group.end(c.id)
}

// check compares what the group counts with what it holds, and its phases with
// their meaning.
func (m *model) check(after string) {
	m.t.Helper()
	g := m.group
	g.mu.Lock() // pauses end meanwhile
	defer g.mu.Unlock()
	type counted struct{ queues, bytes, inFlight, ready, quiet, leaving int }
	want := map[*Subscription]counted{}
	events, all, oldest := 0, 0, time.Duration(0)
	for _, q := range g.queues {
		if len(q.items) > 0 && (oldest == 0 || q.items[0].since < oldest) {
			oldest = q.items[0].since
		}
		n := want[q.owner]
		n.queues++
		if q.leaving {
			n.leaving++
		}
		bytes := 0
		for i, it := range q.items {
			bytes += it.event.size
			if i < q.sent && !it.acked {
				n.inFlight++
			}
		}
		if q.bytes != bytes || bytes > modelQueueBytes && len(q.items) > 1 {
			m.t.Errorf("%s: %d bytes in a queue, of which it knows %d; the bound is %d", after, bytes, q.bytes, modelQueueBytes)
		}
		n.bytes += bytes
		all += bytes
		events += len(q.items)
		waits := q.sent < len(q.items)
		var right bool
		switch q.phase {
		case idle:
			right = q.owner != nil && !q.owner.draining && !waits && q.sent > 0
		case quiet:
			right = q.owner != nil && !q.owner.draining && len(q.items) == 0
			n.quiet++
		case ready:
			right = q.owner != nil && !q.owner.draining && waits
			n.ready++
		case paused:
			right = !time.Now().After(q.pausedUntil)
		case handingOver:
			right = q.owner != nil && (q.owner.draining || q.leaving) && q.sent > 0
		case unowned:
			right = q.owner == nil
		}
		if !right {
			m.t.Errorf("%s: phase %d of a queue with %d of %d events in flight, owner %+v", after, q.phase, q.sent, len(q.items), q.owner)
		}
		if q.owner == nil && g.pickLocked(q, q.nextLocked()) != nil {
			m.t.Errorf("%s: a queue without an owner, though there is one for it", after)
		}
		if q.held != nil && q.waiting == nil && q.fitsLocked(q.held.event.size) {
			m.t.Errorf("%s: an event is held though its queue has room", after)
		}
		want[q.owner] = n
	}
	expect(m.t, after+": events", g.events, events)
	expect(m.t, after+": bytes", g.bytes, all)
	first := time.Duration(0)
	if len(g.oldest) > 0 {
		first = g.oldest[0].oldest
	}
	expect(m.t, after+": when the oldest event came", first, oldest)
	expect(m.t, after+": bytes of nobody", g.unowned.bytes, want[nil].bytes)
	m.checkWaiting(after, &g.unowned)
	for _, s := range g.subscriptions {
		ready := 0
		for _, t := range s.readyLocked() {
			ready += t.len()
		}
		suspects, _ := m.suspects(s)
		expect(m.t, after+": suspects in flight", s.suspects.countLocked(), suspects)
		expect(m.t, after+": subscription", counted{s.owned.count, s.bytes, s.inFlight, ready, s.quiet.len(), s.leaving}, want[s])
		listed := 0
		for q := s.owned.first; q != nil && listed <= len(g.queues); q = q.ownedNext {
			expect(m.t, after+": the owner of a queue in the list of one", q.owner, s)
			listed++
		}
		expect(m.t, after+": queues listed", listed, s.owned.count)
		expect(m.t, after+": in flight", s.inFlight, m.inFlight(s))
		m.checkWaiting(after, &s.load)
		m.checkToldLocked(after, s)
	}
}

// checkToldLocked compares what s was told, and is about to be, with what it owns.
func (m *model) checkToldLocked(after string, s *Subscription) {
	m.t.Helper()
	if !s.options.Assignments {
		expect(m.t, after+": to be told to who did not ask", s.coming.Len()+len(s.released), 0)
		return
	}
	will := maps.Clone(m.told[s])
	for _, id := range s.released {
		delete(will, id)
	}
	for e := s.coming.Front(); e != nil; e = e.Next() {
		q := e.Value.(*queue)
		expect(m.t, after+": will be told once", will[q.id], false)
		will[q.id] = true
	}
	owned := 0
	for _, q := range m.group.queues {
		if q.owner == s {
			owned++
			expect(m.t, after+": will know that it owns "+q.id, will[q.id], true)
		}
	}
	expect(m.t, after+": connections that it will know of", len(will), owned)
}

func (t *turns) len() (n int) {
	for q := t.first; q != nil; q = q.next {
		n++
	}
	return n
}

// checkWaiting fails if the first that waits for room has it.
func (m *model) checkWaiting(after string, ld *load) {
	m.t.Helper()
	if first := ld.waiting.Front(); first != nil && m.group.fitsLocked(ld, first.Value.(*queue).held.event.size) {
		m.t.Errorf("%s: an event is held though there is room: %d bytes", after, ld.bytes)
	}
}

func (m *model) loads() map[*load]int {
	m.group.mu.Lock()
	defer m.group.mu.Unlock()
	all := map[*load]int{&m.group.unowned: m.group.unowned.bytes}
	for _, s := range m.group.subscriptions {
		all[&s.load] = s.bytes
	}
	return all
}

// checkLoads fails if a load has grown beyond its bound, unless by one event that
// is all it holds.
func (m *model) checkLoads(after string, before map[*load]int) {
	m.t.Helper()
	loads := m.loads()
	m.group.mu.Lock()
	defer m.group.mu.Unlock()
	for ld, bytes := range loads {
		if bytes <= before[ld] || bytes <= modelSubscriptionBytes {
			continue
		}
		events := 0
		for _, q := range m.group.queues {
			if q.loadLocked() == ld {
				events += len(q.items)
			}
		}
		if events > 1 {
			m.t.Errorf("%s: %d bytes of %d events wait, it was %d; the bound is %d", after, bytes, events, before[ld], modelSubscriptionBytes)
		}
	}
}
