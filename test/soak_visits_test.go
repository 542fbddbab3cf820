package test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// visits are clients that come to a node and go, in each way that there is.
type visits struct {
	siege
	registry fanoutv1.RegistryServiceClient
	emitter  fanoutv1.EmitterServiceClient
	stop     context.CancelFunc
	visiting sync.WaitGroup

	mu   sync.Mutex
	done map[string]int // by way
}

const (
	// slowPad is what is sent at once to a client that does not read: sockets take some
	// megabytes of that.
	slowPad = 32 << 10
	// slowPause is between two such clients: what they were sent is kept, as they could come
	// back.
	slowPause = 10 * time.Second
)

func startVisits(ctx context.Context, t *testing.T, n *clusterNode) *visits {
	t.Helper()
	v := &visits{siege: siege{T: t, ctx: ctx, daemon: n.daemon}, registry: n.registry, emitter: n.emitter, done: map[string]int{}}
	running, stop := context.WithCancel(ctx)
	v.stop = stop
	ways := map[string]func() error{
		"websocket": v.overWebSocket, "polling": v.overPolling, "upgrade": v.upgrade, "slow": v.slow,
	}
	for _, name := range slices.Sorted(maps.Keys(ways)) {
		workers, pause := soakVisitors, soakPause
		if name == "slow" {
			workers, pause = 1, slowPause
		}
		for range workers {
			v.visiting.Go(func() {
				tick := time.NewTicker(pause)
				defer tick.Stop()
				for running.Err() == nil {
					if err := ways[name](); err != nil {
						t.Errorf("a visit, %s: %v", name, err)
						return
					}
					v.mu.Lock()
					v.done[name]++
					v.mu.Unlock()
					select {
					case <-tick.C:
					case <-running.Done():
					}
				}
			})
		}
	}
	t.Cleanup(func() { stop(); v.visiting.Wait() })
	return v
}

// finish ends the visits; there has to have been one of each.
func (v *visits) finish(t *testing.T) {
	t.Helper()
	v.stop()
	v.visiting.Wait()
	if len(v.done) != 4 {
		t.Errorf("visits: %v, want some of each", v.done)
	}
}

// count is how many visits there were before.
func (v *visits) count(way string) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.done[way]
}

func (v *visits) overWebSocket() error {
	one, err := joinSwarm(v.ctx, &websocket.Dialer{}, v.listen)
	if err != nil {
		return err
	}
	c := &comer{ws: one.conn}
	_ = one.conn.WriteMessage(websocket.TextMessage, []byte(`42["visit"]`)) // the end tells
	if err := v.joinAndLeave(one); err != nil {
		_ = one.conn.Close()
		return err
	}
	return c.leave(v.ctx, v.count("websocket"))
}

// joinAndLeave has a client join a room, hear what the room is sent, and leave it.
func (v *visits) joinAndLeave(one *swarmClient) error {
	me, rooms := &fanoutv1.Target{Ids: []string{one.id}}, []string{fmt.Sprint("room of ", one.id[len(one.id)-1:])}
	if res, err := v.registry.Join(v.ctx, &fanoutv1.JoinRequest{To: me, Rooms: rooms}); err != nil || res.GetAffected() != 1 {
		return fmt.Errorf("Join: %v, %w", res, err)
	}
	if _, err := v.emitter.Emit(v.ctx, &fanoutv1.EmitRequest{To: &fanoutv1.Target{Rooms: rooms}, Event: "to", ArgsJson: fmt.Sprintf("[%q]", one.id)}); err != nil {
		return err
	}
	for want := fmt.Sprintf(`42["to",%q`, one.id); ; {
		_, packet, err := one.conn.ReadMessage()
		if err != nil {
			return fmt.Errorf("waiting for what its room is sent: %w", err)
		}
		if strings.HasPrefix(string(packet), want) {
			break
		}
	}
	res, err := v.registry.Leave(v.ctx, &fanoutv1.LeaveRequest{To: me, Rooms: rooms})
	if err != nil || res.GetAffected() != 1 {
		return fmt.Errorf("Leave: %v, %w", res, err)
	}
	return nil
}

func (v *visits) overPolling() error {
	p := &polling{ctx: v.ctx, client: &http.Client{Transport: &http.Transport{}}, address: v.listen}
	defer p.client.CloseIdleConnections()
	err := p.open("")
	if err == nil {
		err = p.post("40")
	}
	if err == nil {
		_, err = p.get()
	}
	if err == nil {
		err = p.post(`42["visit"]`)
	}
	if err == nil {
		err = p.post("1")
	}
	return err
}

// upgrade opens a session by polling, and goes on over WebSocket.
func (v *visits) upgrade() error {
	p := &polling{ctx: v.ctx, client: &http.Client{Transport: &http.Transport{}}, address: v.listen}
	defer p.client.CloseIdleConnections()
	if err := p.open(""); err != nil {
		return err
	}
	w, err := v.webSocket("&sid=" + p.sid)
	if err != nil {
		return err
	}
	defer w.Close()
	if err := w.say("2probe"); err != nil {
		return err
	}
	if answer, err := w.hear(); err != nil || answer != "3probe" {
		return fmt.Errorf("the probe was answered %q, %w", answer, err)
	}
	if err := w.say("5"); err != nil {
		return err
	}
	return w.join()
}

// slow joins, reads nothing more, and is closed for that.
func (v *visits) slow() error {
	c, err := v.dialSmall()
	if err != nil {
		return err
	}
	w := &rawSocket{c, bufio.NewReaderSize(c, 512)}
	defer w.Close()
	if err := w.handshake(v.listen, "", nil); err != nil {
		return err
	}
	if _, err := w.hear(); err != nil { // the open packet
		return err
	}
	if err := w.say("40"); err != nil {
		return err
	}
	answer, err := w.hear()
	if err != nil {
		return err
	}
	id, err := joined(answer)
	if err != nil {
		return err
	}
	to, args := &fanoutv1.Target{Ids: []string{id}}, fmt.Sprintf("[%q]", strings.Repeat("x", slowPad))
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 10_000 {
		res, err := v.emitter.Emit(v.ctx, &fanoutv1.EmitRequest{To: to, Event: "slow", ArgsJson: args})
		if err != nil {
			return err
		}
		if res.GetMatched() == 0 {
			return nil
		}
		<-tick.C
	}
	return errors.New("a client that does not read was not closed")
}

// senders are browsers that send to consumers, and what is done to these.
type senders struct {
	group    *chaosGroup
	browsers chaosBrowsers
	acting   sync.WaitGroup // browsers, and what is done to consumers
	admin    fanoutv1.AdminServiceClient
	node     daemon
}

// startCrowd begins; it ends by itself after d.
func (m *mixed) startCrowd(ctx context.Context, t *testing.T, d time.Duration) *senders {
	t.Helper()
	control := connectTo(t, m.stays.control)
	c := &senders{group: newChaosGroup(control, fmt.Sprint("crowd ", m.runs), uint64(m.runs)), admin: m.stays.admin, node: m.stays.daemon}
	c.group.namespaces, c.browsers.namespace = []string{"/crowd"}, "/crowd,"
	for slot := range c.group.workers {
		if err := c.group.replace(ctx, slot); err != nil {
			t.Fatal(err)
		}
	}
	running, stop := context.WithTimeout(ctx, d)
	t.Cleanup(func() { stop(); c.acting.Wait(); c.group.working.Wait() })
	for i := range soakCrowd {
		c.acting.Go(func() {
			c.browsers.come(ctx, running, t, m.stays.listen, rand.New(rand.NewPCG(uint64(m.runs), uint64(i))))
		})
	}
	c.acting.Go(func() {
		if err := c.group.chaos(ctx, running); err != nil {
			t.Errorf("group %s: %v", c.group.record.group, err)
		}
	})
	return c
}

// finish waits until all is settled, checks it, and leaves nothing of the group.
func (c *senders) finish(ctx context.Context, t *testing.T) {
	t.Helper()
	c.acting.Wait()
	c.group.replaceAll(ctx, t)
	awaitSettled(ctx, t, c.admin, c.node)
	c.group.judge(ctx, t, c.browsers.all)
	for _, w := range c.group.workers {
		w.crash()
	}
	if _, err := c.admin.DeleteGroup(ctx, &fanoutv1.DeleteGroupRequest{Group: c.group.record.group}); err != nil {
		t.Error(err)
	}
	if err := c.group.control.Close(); err != nil {
		t.Error(err)
	}
}
