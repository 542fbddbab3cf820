package test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// emitted counts an emit that was answered.
func (m *metricsTest) emitted(res *fanoutv1.EmitResponse, err error) int {
	m.Helper()
	if err != nil {
		m.Errorf("Emit: %v", err)
	}
	m.count("fanoutd_emits_total")
	return int(res.GetMatched())
}

func everybody(namespace string) *fanoutv1.Target {
	return &fanoutv1.Target{Namespace: namespace, All: true}
}

// converse has clients connect by all ways, send and be sent events while others do so too.
func (m *metricsTest) converse() []*countingClient {
	crowd := make([]*countingClient, 8)
	var talking sync.WaitGroup
	for i := range crowd {
		talking.Go(func() {
			if i%2 == 0 {
				crowd[i] = m.overWebSocket()
			} else {
				crowd[i] = m.overPolling(true)
			}
			c := crowd[i].enter("/", "/chat", "/quiet", fmt.Sprintf("/room-%d", i%3))
			for n := range 20 {
				c.emit([]string{"/", "/chat", "/quiet"}[n%3], "talk", n%2 == 0 && n%3 != 2)
				if n == 10 && i%4 == 1 {
					c.upgrade()
				}
			}
			c.emitBinary("/chat", "\x00\x01binary\xff")
			m.until("its events are answered", func() bool { _, acks := c.heard(); return acks == 7 })
		})
	}
	matched := 0
	for n := range 50 {
		matched += m.emitted(m.emitter.Emit(m.ctx, &fanoutv1.EmitRequest{To: everybody([]string{"/", "/chat"}[n%2]), Event: "news", ArgsJson: fmt.Sprintf(`["%d ä"]`, n)}))
	}
	talking.Wait()
	matched += m.emitted(m.emitter.Emit(m.ctx, &fanoutv1.EmitRequest{
		To: everybody("/chat"), Event: "binary", ArgsJson: `[{"_placeholder":true,"num":0}]`, Attachments: [][]byte{[]byte("\x00\xff of any length")},
	}))
	matched += m.emitBatch() + m.emitStream()
	m.until("all of it has come", func() bool {
		heard := 0
		for _, c := range crowd {
			events, _ := c.heard()
			heard += events
		}
		return heard == matched
	})
	return crowd
}

func (m *metricsTest) emitBatch() (matched int) {
	var batch fanoutv1.EmitBatchRequest
	for range 3 {
		batch.Emits = append(batch.Emits, &fanoutv1.EmitRequest{To: everybody("/"), Event: "batch"})
	}
	batch.Emits = append(batch.Emits, &fanoutv1.EmitRequest{Event: "to nobody at all"}) // is refused
	res, err := m.emitter.EmitBatch(m.ctx, &batch)
	if err != nil {
		m.Fatal(err)
	}
	for i, r := range res.GetResults() {
		if code := codes.Code(r.GetStatus().GetCode()); code != codes.OK {
			if i != 3 {
				m.Errorf("item %d: %v", i, r)
			}
			continue
		}
		m.count("fanoutd_emits_total")
		matched += int(r.GetResponse().GetMatched())
	}
	return matched
}

func (m *metricsTest) emitStream() (matched int) {
	stream, err := m.emitter.EmitStream(m.ctx)
	if err != nil {
		m.Fatal(err)
	}
	room, err := m.registry.Join(m.ctx, &fanoutv1.JoinRequest{To: everybody("/"), Rooms: []string{"stream"}})
	if err != nil {
		m.Fatal(err)
	}
	for i := range 10 {
		err := stream.Send(&fanoutv1.EmitStreamRequest{Sequence: uint64(i + 1), Emit: &fanoutv1.EmitRequest{To: &fanoutv1.Target{Rooms: []string{"stream"}}, Event: "stream"}})
		if err != nil {
			m.Fatal(err)
		}
		m.count("fanoutd_emits_total")
		matched += int(room.GetAffected())
	}
	_ = stream.CloseSend() // its end tells
	for {
		if _, err := stream.Recv(); err != nil {
			return matched
		}
	}
}

// askForAcks has every client asked by EmitWithAck, and one by Call.
func (m *metricsTest) askForAcks(crowd []*countingClient) {
	m.Helper()
	stream, err := m.emitter.EmitWithAck(m.ctx, &fanoutv1.EmitWithAckRequest{Emit: &fanoutv1.EmitRequest{To: everybody("/"), Event: "ask"}, Timeout: durationpb.New(time.Minute)})
	if err != nil {
		m.Fatal(err)
	}
	m.count("fanoutd_emits_total")
	var summary *fanoutv1.EmitWithAckResponse_Summary
	for {
		res, err := stream.Recv()
		if err != nil {
			break
		}
		if s := res.GetSummary(); s != nil {
			summary = s
		}
	}
	if int(summary.GetAcked()) != len(crowd) {
		m.Errorf("EmitWithAck: %v", summary)
	}
	if _, err := m.emitter.Call(m.ctx, &fanoutv1.CallRequest{Id: crowd[0].id("/"), Event: "ask", Timeout: durationpb.New(time.Minute)}); err != nil {
		m.Errorf("Call: %v", err)
	}
	m.count("fanoutd_emits_total")
	if _, err := m.emitter.Call(m.ctx, &fanoutv1.CallRequest{Id: "nobody", Event: "ask", Timeout: durationpb.New(time.Minute)}); status.Code(err) != codes.NotFound {
		m.Errorf("Call of nobody: %v", err)
	}
	m.count("fanoutd_emits_total") // as an Emit that reaches nobody
}

// compareNow compares what there is now with what clients have and the registry lists.
func (m *metricsTest) compareNow() {
	m.Helper()
	silent := m.overPolling(false).ask("/", "somebody")
	silent.poll()
	for range 3 {
		m.emitted(m.emitter.Emit(m.ctx, &fanoutv1.EmitRequest{To: &fanoutv1.Target{Ids: []string{silent.id("/")}}, Event: "wait"}))
	}
	answered := make(chan error, 1)
	go func() {
		_, err := m.emitter.Call(m.ctx, &fanoutv1.CallRequest{Id: silent.id("/"), Event: "ask", Timeout: durationpb.New(time.Minute)})
		m.count("fanoutd_emits_total")
		answered <- err
	}()
	ctx, stop := context.WithCancel(m.ctx)
	watch, err := m.registry.Watch(ctx, &fanoutv1.WatchRequest{To: everybody("/")})
	if err == nil {
		_, err = watch.Header()
	}
	if err != nil {
		m.Fatal(err)
	}
	m.set(1, "fanoutd_watches")
	m.set(1, "fanoutd_acks_awaited")
	m.count("fanoutd_control_calls_in_flight", "method", fanoutv1.EmitterService_Call_FullMethodName[1:])
	gauges := []string{
		"fanoutd_sessions", "fanoutd_connections", "fanoutd_namespaces", "fanoutd_rooms", "fanoutd_queue_bytes", "fanoutd_queue_largest_bytes",
		"fanoutd_group_consumers", "fanoutd_group_pending_events", "fanoutd_group_pending_bytes", "fanoutd_group_in_flight_events",
		"fanoutd_acks_awaited", "fanoutd_control_calls_in_flight", "fanoutd_watches",
	}
	m.compare("while clients are there", func(series string) bool { return slices.Contains(gauges, metricName(series)) })
	if m.all()["fanoutd_queue_bytes"] == 0 {
		m.Error("nothing waits for who does not poll")
	}
	stop()
	for err == nil {
		_, err = watch.Recv()
	}
	m.set(0, "fanoutd_watches")
	silent.listen()
	if err := <-answered; err != nil {
		m.Errorf("Call: %v", err)
	}
	m.set(0, "fanoutd_acks_awaited")
	m.add(-1, "fanoutd_control_calls_in_flight", "method", fanoutv1.EmitterService_Call_FullMethodName[1:])
	m.until("it has heard all", func() bool { events, _ := silent.heard(); return events == 4 })
	silent.close()
}

// list counts what lists say that there is.
func (m *metricsTest) list() {
	m.Helper()
	consumers, err := m.admin.ListConsumers(m.ctx, &fanoutv1.ListConsumersRequest{})
	if err != nil {
		m.Fatal(err)
	}
	for _, g := range consumers.GetGroups() {
		m.set(float64(g.GetPendingBytes()), "fanoutd_group_pending_bytes", "group", g.GetName())
	}
	namespaces, err := m.registry.ListNamespaces(m.ctx, &fanoutv1.ListNamespacesRequest{})
	if err != nil {
		m.Fatal(err)
	}
	var rooms, queued, largest uint32
	for _, n := range namespaces.GetNamespaces() {
		res, err := m.registry.ListRooms(m.ctx, &fanoutv1.ListRoomsRequest{Namespace: n.GetName(), IncludeIds: true, PageSize: 1000})
		if err != nil {
			m.Fatal(err)
		}
		rooms += uint32(len(res.GetRooms()))
	}
	all, err := m.registry.ListConnections(m.ctx, &fanoutv1.ListConnectionsRequest{To: everybody("/"), PageSize: 1000})
	if err != nil {
		m.Fatal(err)
	}
	for _, c := range all.GetConnections() {
		queued += c.GetQueuedBytes()
		largest = max(largest, c.GetQueuedBytes())
	}
	m.set(float64(len(namespaces.GetNamespaces())), "fanoutd_namespaces")
	m.set(float64(rooms), "fanoutd_rooms")
	m.set(float64(queued), "fanoutd_queue_bytes")
	m.set(float64(largest), "fanoutd_queue_largest_bytes")
}
