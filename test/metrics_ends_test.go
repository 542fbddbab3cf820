package test

import (
	"fmt"
	"net/http"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// closed has sessions end for reasons of their own.
func (m *metricsTest) closed() {
	for _, end := range []struct {
		reason string
		by     func(c *countingClient)
	}{
		{"transport close", func(c *countingClient) { c.say("1"); _ = c.w.CloseWrite() }},
		{"transport close", func(c *countingClient) { _, _ = c.w.Write(appendFrame(nil, frameFinal|frameClose, []byte{3, 232})) }},
		{"transport close", func(c *countingClient) { _ = c.w.CloseWrite() }},
		{"parse error", func(c *countingClient) { c.say("4no packet") }},
		{"ping timeout", func(c *countingClient) { c.mute.Store(true) }},
	} {
		c := m.overWebSocket().enter("/", "/chat")
		end.by(c)
		c.over(end.reason)
	}
	c := m.overPolling(true).enter("/")
	c.close()
	m.overWebSocket().over("connect timeout")
}

// disconnected has a backend end connections in each way.
func (m *metricsTest) disconnected() {
	for mode, reason := range map[fanoutv1.DisconnectRequest_Mode]string{
		fanoutv1.DisconnectRequest_NAMESPACE: "", // the session goes on
		fanoutv1.DisconnectRequest_SESSION:   "forced server close",
		fanoutv1.DisconnectRequest_TRANSPORT: "forced server close",
	} {
		c := m.overWebSocket().enter("/", "/chat")
		res, err := m.registry.Disconnect(m.ctx, &fanoutv1.DisconnectRequest{To: &fanoutv1.Target{Ids: []string{c.id("/")}}, Mode: mode})
		if err != nil || res.GetAffected() == 0 {
			m.Errorf("Disconnect %v: %v, %v", mode, res, err)
		}
		if reason == "" {
			m.until("it is told", func() bool { return c.id("/") == "" })
			c.close()
			continue
		}
		c.over(reason)
	}
}

// refusedHandshakes has requests refused that open no session.
func (m *metricsTest) refusedHandshakes() {
	for _, r := range []struct{ query, origin, reason string }{
		{"EIO=4&transport=pigeon", "", "protocol"},
		{"EIO=4&transport=polling&sid=unknown", "", "unknown-session"},
		{"EIO=4&transport=polling", "https://elsewhere.example", "origins"},
	} {
		p := m.polling()
		if r.origin != "" {
			p.header = http.Header{"Origin": {r.origin}}
		}
		if _, err := p.do(http.MethodGet, r.query, nil); err == nil {
			m.Errorf("%s was not refused", r.query)
		}
		m.count("fanoutd_refused_total", "reason", r.reason)
	}
}

// refusedCalls has callers refused for who they are.
func (m *metricsTest) refusedCalls() {
	for key, want := range map[string]codes.Code{"": codes.Unauthenticated, strangersKey: codes.Unauthenticated, readKey: codes.PermissionDenied, roomKey: codes.PermissionDenied} {
		_, err := fanoutv1.NewEmitterServiceClient(m.backend(key)).Emit(m.ctx, &fanoutv1.EmitRequest{To: everybody("/"), Event: "e"})
		if status.Code(err) != want {
			m.Errorf("a call with the key %q was answered %v, want %v", key, err, want)
		}
	}
	if _, err := m.emitter.Emit(m.ctx, &fanoutv1.EmitRequest{Event: "e"}); status.Code(err) != codes.InvalidArgument {
		m.Errorf("an Emit to nobody was answered %v", err)
	}
}

// refusedConnections has browsers refused by their token, the hook and a verdict.
func (m *metricsTest) refusedConnections() {
	for _, user := range []string{"expired", "forged", "missing", "unwelcome"} {
		c := m.overWebSocket()
		if answer := c.join("/", user); !strings.HasPrefix(answer, "error ") {
			m.Errorf("%s was answered %q", user, answer)
		}
		m.count("fanoutd_admissions_total", "outcome", "refused")
		c.close()
	}
	c := m.overWebSocket()
	if answer := c.join("/gate", "refused"); !strings.HasPrefix(answer, "error ") {
		m.Errorf("it was answered %q", answer)
	}
	m.count("fanoutd_admissions_total", "outcome", "refused")
	c.close()
	c = m.overWebSocket().enter("/gate")
	c.close()
}

// blocked has a user blocked, refused and let in again.
func (m *metricsTest) blocked() {
	const user = "unwanted"
	if _, err := m.registry.Block(m.ctx, &fanoutv1.BlockRequest{Users: []string{user, "nobody"}, Addresses: []string{"203.0.113.7"}}); err != nil {
		m.Errorf("Block: %v", err)
	}
	c := m.overWebSocket()
	if answer := c.join("/", user); answer != `error {"message":"blocked"}` {
		m.Errorf("it was answered %q", answer)
	}
	m.count("fanoutd_connects_blocked_total")
	m.count("fanoutd_admissions_total", "outcome", "refused")
	c.close()
	if _, err := m.registry.Unblock(m.ctx, &fanoutv1.UnblockRequest{Users: []string{user}}); err != nil {
		m.Errorf("Unblock: %v", err)
	}
	for kind, n := range map[string]float64{"users": 1, "addresses": 1, "lifted": 1} {
		m.set(n, "fanoutd_blocks", "kind", kind)
	}
}

func isUndecided(e *fanoutv1.Event) bool { return e.GetUserId() == "undecided" }

// undecided has browsers on whom nobody decides, and one that does not wait for it.
func (m *metricsTest) undecided(gate *countingConsumer) {
	m.overWebSocket().ask("/", "broken").over("authorization unavailable") // by the hook
	m.count("fanoutd_admissions_total", "outcome", "unavailable")

	c := m.overWebSocket().ask("/gate", "undecided")
	gate.await("a question", isUndecided)
	c.over("authorization unavailable")
	m.count("fanoutd_verdict_timeouts_total")
	m.count("fanoutd_admissions_total", "outcome", "unavailable")

	c = m.overWebSocket().ask("/gate", "undecided")
	gate.await("a question", isUndecided)
	c.close()
	m.count("fanoutd_admissions_total", "outcome", "left")
}

// slow has a browser closed that takes nothing.
func (m *metricsTest) slow() {
	c := m.overPolling(false).ask("/", "somebody")
	c.poll()
	to := &fanoutv1.Target{Ids: []string{c.id("/")}}
	for range 10 {
		n := m.emitted(m.emitter.Emit(m.ctx, &fanoutv1.EmitRequest{To: to, Event: "large", ArgsJson: fmt.Sprintf("[%q]", strings.Repeat("x", 10_000))}))
		m.add(float64(n), "fanoutd_events_sent_total") // they are queued, and go with it
	}
	close(c.ended)
	c.over("slow consumer")
}

// volatile sends to a browser that cannot take them.
func (m *metricsTest) volatile() {
	c := m.overPolling(false).ask("/", "somebody")
	c.poll()
	const sent = 5
	to := &fanoutv1.Target{Ids: []string{c.id("/")}}
	matched := 0
	for range sent {
		matched += m.emitted(m.emitter.Emit(m.ctx, &fanoutv1.EmitRequest{To: to, Event: "position", Volatile: true}))
	}
	c.listen()
	m.until("those that it was sent have come", func() bool { events, _ := c.heard(); return events == matched })
	m.add(float64(sent-matched), "fanoutd_volatile_dropped_total")
	if matched == sent {
		m.Error("nothing was dropped")
	}
	c.close()
}

// conflated sends to a browser that does not poll meanwhile.
func (m *metricsTest) conflated() {
	c := m.overPolling(false).ask("/", "somebody")
	c.poll()
	const sent = 5
	to := &fanoutv1.Target{Ids: []string{c.id("/")}}
	for range sent {
		m.emitted(m.emitter.Emit(m.ctx, &fanoutv1.EmitRequest{To: to, Event: "price", ConflateKey: "price"}))
	}
	m.add(sent-1, "fanoutd_conflated_total")
	m.add(sent-1, "fanoutd_events_sent_total") // they were queued too; the last is counted when it comes
	c.listen()
	m.until("the last has come", func() bool { events, _ := c.heard(); return events == 1 })
	c.close()
}

// failedUpgrade has a WebSocket not take its session over.
func (m *metricsTest) failedUpgrade() {
	c := m.overPolling(true).enter("/")
	w, err := m.candidate("&sid=" + c.p.sid)
	if err != nil {
		m.Fatal(err)
	}
	m.packet("received", "websocket", "2no probe", false)
	if err := w.say("2no probe"); err != nil {
		m.Fatal(err)
	}
	_ = w.end() // it is closed, whatever for
	m.count("fanoutd_upgrades_failed_total")
	c.close()
}

// deadLetters has an event refused until the group gives it up, and replayed.
func (m *metricsTest) deadLetters() {
	c := m.overWebSocket().enter("/chat")
	c.emit("/chat", "poison", false)
	m.until("the event is a dead letter", func() bool {
		res, err := m.admin.ListDeadLetters(m.ctx, &fanoutv1.ListDeadLettersRequest{Group: "all"})
		return err == nil && len(res.GetDeadLetters()) == 1
	})
	m.count("fanoutd_group_dead_letters_total", "group", "all")
	res, err := m.admin.ReplayDeadLetters(m.ctx, &fanoutv1.ReplayDeadLettersRequest{Group: "all", All: true})
	if err != nil || res.GetAffected() != 1 {
		m.Errorf("ReplayDeadLetters: %v, %v", res, err)
	}
	m.count("fanoutd_dead_letters_replayed_total")
	c.close()
}

// repeated has a consumer hold an event, and returns what has it die, so that the next one
// gets that.
func (m *metricsTest) repeated() (die func()) {
	conn := m.backend(fullKey)
	open := &fanoutv1.ConsumeRequest_Open{Group: "mortal", Namespaces: []string{"/chat"}, Events: []string{"hold"}}
	first := m.consume(conn, open, leaveUnsettled)
	c := m.overWebSocket().enter("/chat")
	c.emit("/chat", "hold", false)
	isHeld := func(e *fanoutv1.Event) bool { return e.GetEvent() == "hold" }
	first.await("the event", isHeld)
	m.set(1, "fanoutd_group_pending_events", "group", "mortal")
	m.set(1, "fanoutd_group_in_flight_events", "group", "mortal")
	return func() {
		first.die()
		<-first.ended
		second := m.consume(conn, open, acknowledge)
		if e := second.await("the event", isHeld); e.GetAttempt() != 2 {
			m.Errorf("it came with attempt %d", e.GetAttempt())
		}
		m.count("fanoutd_group_repeated_total", "group", "mortal")
		m.count("fanoutd_deliveries_repeated_total")
		m.set(0, "fanoutd_group_pending_events", "group", "mortal")
		m.set(0, "fanoutd_group_in_flight_events", "group", "mortal")
		c.close()
	}
}

// dropped has events thrown away for a group that has nobody.
func (m *metricsTest) dropped() {
	open := &fanoutv1.ConsumeRequest_Open{Group: "away", Namespaces: []string{"/drop"}, Events: []string{"talk"}}
	consumer := m.consume(m.backend(fullKey), open, acknowledge)
	c := m.overWebSocket().enter("/drop")
	talk := func() {
		c.emit("/drop", "talk", false)
		m.add(-1, "fanoutd_deliveries_unheard_total") // emit thinks that nobody asked for it
	}
	talk()
	consumer.await("the event", func(e *fanoutv1.Event) bool { return e.GetEvent() == "talk" })
	consumer.leave()
	for range 3 {
		talk()
		m.count("fanoutd_group_dropped_total", "group", "away")
	}
	c.close()
}
