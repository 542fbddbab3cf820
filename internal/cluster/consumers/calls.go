package consumers

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	clusterv1 "github.com/fanoutd/fanoutd/gen/fanout/cluster/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/sio"
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

// drop ends the waiting for a call that was not sent.
func (c *calls) drop(id uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if w := c.waiting[id]; w != nil {
		delete(c.waiting, id)
		close(w.result)
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

// keptForAnswer is what is kept of a caller's deadline to tell it what there is by then.
const keptForAnswer = 100 * time.Millisecond

// answerTime returns a context for as long as answers are awaited: CallTimeout, but not
// past the caller's deadline.
func (d *Dispatcher) answerTime(ctx context.Context) (context.Context, context.CancelFunc) {
	limit := d.opts.CallTimeout
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline)
		limit = min(limit, max(left-keptForAnswer, left/2))
	}
	return context.WithTimeout(ctx, limit)
}

// call asks a peer, after all that was posted to it: a consumer that has left here is not
// there any more for what is asked. It returns nil if the peer does not answer until ctx
// is done, or is suspected, or failed, which its log tells.
func (d *Dispatcher) call(ctx context.Context, p *peer, m *clusterv1.Call) *clusterv1.CallResult {
	id, w := d.calls.begin(p.epoch)
	defer d.calls.end(id)
	if p.isSuspected() {
		return nil
	}
	m.Id = id
	if !p.post(&clusterv1.ConsumerMessage{Body: &clusterv1.ConsumerMessage_Call{Call: m}}) {
		return nil
	}
	select {
	case r := <-w.result:
		if r.GetError() == failed {
			return nil
		}
		return r
	case <-ctx.Done():
	case <-p.gone:
	}
	return nil
}

// answer is what a peer answered.
type answer struct {
	*clusterv1.CallResult
	peer *peer
}

// callEach asks peers at once, and returns what they answer in time, in their order;
// nodes has the others. ask makes the Call for one.
func (d *Dispatcher) callEach(ctx context.Context, peers []*peer, ask func() *clusterv1.Call) (answers []answer, nodes sio.Coverage) {
	ctx, cancel := d.answerTime(ctx)
	defer cancel()
	results := make([]*clusterv1.CallResult, len(peers))
	var asking sync.WaitGroup
	for i, p := range peers {
		asking.Go(func() { results[i] = d.call(ctx, p, ask()) })
	}
	asking.Wait()
	for i, p := range peers {
		if results[i] == nil {
			nodes.Miss(p.name)
		} else {
			answers = append(answers, answer{results[i], p})
		}
	}
	return answers, nodes
}

// serveCall does what a peer asks for, on a goroutine of its own.
func (d *Dispatcher) serveCall(p *peer, m *clusterv1.Call) {
	d.running.Go(func() {
		r := &clusterv1.CallResult{Id: m.GetId()}
		if err := d.serveCallOnce(p, m, r); err != nil {
			r.Error, r.Text = nameOf(err), err.Error()
		}
		if r.GetError() == failed {
			d.log.Error("what another node asked for failed", "node", p.name, "error", r.GetText())
		}
		p.post(&clusterv1.ConsumerMessage{Body: &clusterv1.ConsumerMessage_Result{Result: r}})
	})
}

func (d *Dispatcher) serveCallOnce(p *peer, m *clusterv1.Call, r *clusterv1.CallResult) (err error) {
	switch kind := m.GetKind().(type) {
	case *clusterv1.Call_Reply:
		return d.local.Reply(kind.Reply.GetDeliveryId(), kind.Reply.GetNamespaces(), kind.Reply.GetArgs(), kind.Reply.GetAttachments())
	case *clusterv1.Call_DeleteGroup:
		n, err := d.local.DeleteGroup(kind.DeleteGroup)
		r.Affected = count(n)
		return err
	case *clusterv1.Call_DisconnectConsumer:
		return d.local.DisconnectConsumer(kind.DisconnectConsumer.GetGroup(), kind.DisconnectConsumer.GetConsumerId())
	case *clusterv1.Call_Groups:
		r.Json, err = json.Marshal(d.ownGroups())
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
