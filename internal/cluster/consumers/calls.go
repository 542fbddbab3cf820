package consumers

import (
	"encoding/json"
	"sync"
	"time"

	clusterv1 "github.com/fanoutd/fanoutd/gen/fanout/cluster/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
)

// calls are questions and orders to other nodes that are under way.
type calls struct {
	mu      sync.Mutex
	last    uint64
	waiting map[uint64]*call
}

type call struct {
	epoch  string
	result chan *clusterv1.CallResult // holds one; closed if none comes
}

// begin notes a call.
func (c *calls) begin(epoch string) (uint64, *call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last++
	w := &call{epoch: epoch, result: make(chan *clusterv1.CallResult, 1)}
	c.waiting[c.last] = w
	return c.last, w
}

func (c *calls) end(id uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.waiting, id)
}

func (c *calls) answer(epoch string, r *clusterv1.CallResult) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if w := c.waiting[r.GetId()]; w != nil && w.epoch == epoch {
		delete(c.waiting, r.GetId())
		w.result <- r
	}
}

// fail ends the waiting for a node.
func (c *calls) fail(epoch string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, w := range c.waiting {
		if w.epoch == epoch {
			delete(c.waiting, id)
			close(w.result)
		}
	}
}

// call asks a peer, and returns nil if it does not answer in time.
func (d *Dispatcher) call(p *peer, m *clusterv1.Call) *clusterv1.CallResult {
	p.mu.Lock()
	suspected := p.suspected
	p.mu.Unlock()
	if suspected {
		return nil
	}
	id, w := d.calls.begin(p.epoch)
	defer d.calls.end(id)
	m.Id = id
	if d.links.SendConsumer(p.epoch, &clusterv1.ConsumerMessage{Body: &clusterv1.ConsumerMessage_Call{Call: m}}) != nil {
		return nil
	}
	late := time.NewTimer(d.opts.CallTimeout)
	defer late.Stop()
	select {
	case r := <-w.result:
		return r
	case <-late.C:
	case <-p.gone:
	}
	return nil
}

// callAll asks all peers at once, and hands over what each answers, nil if it does not
// in time; one call of take at a time, in the order of the peers.
func (d *Dispatcher) callAll(ask func() *clusterv1.Call, take func(p *peer, r *clusterv1.CallResult)) {
	peers := d.all()
	results := make([]*clusterv1.CallResult, len(peers))
	var asking sync.WaitGroup
	for i, p := range peers {
		asking.Go(func() { results[i] = d.call(p, ask()) })
	}
	asking.Wait()
	for i, p := range peers {
		take(p, results[i])
	}
}

// serveCall does what a peer asks for, on a goroutine of its own.
func (d *Dispatcher) serveCall(p *peer, m *clusterv1.Call) {
	d.running.Go(func() {
		r := &clusterv1.CallResult{Id: m.GetId()}
		if err := d.serveCallOnce(p, m, r); err != nil {
			r.Error, r.Text = nameOf(err), err.Error()
		}
		p.post(&clusterv1.ConsumerMessage{Body: &clusterv1.ConsumerMessage_Result{Result: r}})
	})
}

func (d *Dispatcher) serveCallOnce(p *peer, m *clusterv1.Call, r *clusterv1.CallResult) (err error) {
	switch kind := m.GetKind().(type) {
	case *clusterv1.Call_Reply:
		return d.local.Reply(kind.Reply.GetDeliveryId(), kind.Reply.GetArgs(), kind.Reply.GetAttachments())
	case *clusterv1.Call_DeleteGroup:
		n, err := d.local.DeleteGroup(kind.DeleteGroup)
		r.Affected = count(n)
		return err
	case *clusterv1.Call_DisconnectConsumer:
		return d.local.DisconnectConsumer(kind.DisconnectConsumer.GetGroup(), kind.DisconnectConsumer.GetConsumerId())
	case *clusterv1.Call_Groups:
		r.Json, err = json.Marshal(d.local.Groups())
		return err
	case *clusterv1.Call_Watch:
		return p.serveWatch(kind.Watch, r)
	case *clusterv1.Call_StopWatch:
		p.stopWatch(kind.StopWatch)
		return nil
	case *clusterv1.Call_DeadLetters, *clusterv1.Call_Replay, *clusterv1.Call_Delete:
		return d.serveDeadLetters(m, r)
	}
	return errFailed
}

func (d *Dispatcher) serveDeadLetters(m *clusterv1.Call, r *clusterv1.CallResult) (err error) {
	asked := m.GetDeadLetters()
	if asked == nil {
		asked = m.GetReplay()
	}
	if asked == nil {
		asked = m.GetDelete()
	}
	var f dispatch.DeadLetterFilter
	if err := json.Unmarshal(asked.GetFilter(), &f); err != nil {
		return err
	}
	switch m.GetKind().(type) {
	case *clusterv1.Call_Replay:
		n, err := d.local.ReplayDeadLetters(f)
		r.Affected = count(n)
		return err
	case *clusterv1.Call_Delete:
		r.Affected = count(d.local.DeleteDeadLetters(f))
		return nil
	}
	letters, more := d.local.DeadLetters(f, asked.GetAfter(), int(asked.GetLimit()))
	r.More = more
	r.Json, err = json.Marshal(letters)
	return err
}
