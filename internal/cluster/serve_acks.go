package cluster

import (
	"context"
	"time"

	clusterv1 "github.com/fanoutd/fanoutd/gen/fanout/cluster/v1"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// What one message of results may hold.
const (
	maxResults     = 256
	maxResultBytes = 256 << 10
)

// serveAcks sends an event of a peer's and returns when it is sent: so it keeps its
// place in the order of the link.
func (n *Node) serveAcks(ctx context.Context, p *peer, number uint64, m *clusterv1.AckRequest) {
	ctx, cancel := context.WithCancel(ctx)
	s := &served{cancel: cancel, credit: make(chan struct{}, 1)}
	if !p.begin(number, s) {
		cancel()
		p.answer(number, &clusterv1.Answer{Code: clusterv1.Answer_BUSY})
		return
	}
	sent, results, ended := make(chan int, 1), make(chan sio.AckResult, maxResults), make(chan struct{})
	var summary sio.AckSummary
	var err error
	n.serving.Go(func() {
		defer close(ended)
		summary, err = n.hub.EmitWithAck(ctx, sio.AckRequest{
			Emit: toEmit(m.GetEmit()), Timeout: time.Duration(m.GetTimeout()), MaxAcks: int(m.GetMaxAcks()),
			Sent: func(s sio.AckSummary) { sent <- s.Expected },
		}, func(r sio.AckResult) bool {
			select {
			case results <- r:
				return true
			case <-ctx.Done():
				return false
			}
		})
	})
	select {
	case expected := <-sent:
		p.answer(number, &clusterv1.Answer{More: true, Kind: &clusterv1.Answer_Acks{Acks: &clusterv1.AckResults{Expected: count(expected)}}})
	case <-ended:
		select {
		case expected := <-sent: // nobody was there to answer
			p.answer(number, &clusterv1.Answer{More: true, Kind: &clusterv1.Answer_Acks{Acks: &clusterv1.AckResults{Expected: count(expected)}}})
		default: // it was refused: there is no first answer that could be behind
			p.finish(number, s)
			p.answer(number, &clusterv1.Answer{Code: n.code(p, err)})
			return
		}
	}
	n.serving.Go(func() {
		defer p.finish(number, s)
		p.sendResults(ctx, number, s, results, ended)
		<-ended
		if ctx.Err() != nil {
			return // nobody waits for it
		}
		if err != nil {
			p.answer(number, &clusterv1.Answer{Code: n.code(p, err)})
			return
		}
		last := takeResults(results)
		for len(results) > 0 { // more than fits one message
			p.answer(number, &clusterv1.Answer{More: true, Kind: &clusterv1.Answer_Acks{Acks: last}})
			select {
			case <-s.credit:
			case <-ctx.Done():
				return
			}
			last = takeResults(results)
		}
		last.Expected, last.Answered = count(summary.Expected), count(summary.Answered)
		last.TimedOut, last.Disconnected = count(summary.TimedOut), count(summary.Disconnected)
		p.answer(number, &clusterv1.Answer{Kind: &clusterv1.Answer_Acks{Acks: last}})
	})
}

// sendResults sends results as they come, one message for each that the peer takes,
// until the request has ended and what is left fits the last message.
func (p *peer) sendResults(ctx context.Context, number uint64, s *served, results chan sio.AckResult, ended <-chan struct{}) {
	for {
		select { // the first answer is taken by now, or the one before
		case <-s.credit:
		case <-ctx.Done():
			return
		}
		select {
		case r := <-results:
			m := takeResults(results, r)
			p.answer(number, &clusterv1.Answer{More: true, Kind: &clusterv1.Answer_Acks{Acks: m}})
		case <-ended:
			return
		case <-ctx.Done():
			return
		}
	}
}

// takeResults returns a message of the results that are there, as many as fit.
func takeResults(results <-chan sio.AckResult, first ...sio.AckResult) *clusterv1.AckResults {
	m, bytes := &clusterv1.AckResults{}, 0
	add := func(r *sio.AckResult) {
		m.Results = append(m.Results, &clusterv1.AckResults_AckResult{
			Id: r.ConnectionID, Outcome: int32(r.Outcome), Args: r.Args, Attachments: r.Attachments, //nolint:gosec // an enum
		})
		bytes += len(r.Args)
		for _, a := range r.Attachments {
			bytes += len(a)
		}
	}
	for i := range first {
		add(&first[i])
	}
	for len(m.Results) < maxResults && bytes < maxResultBytes {
		select {
		case r := <-results:
			add(&r)
			continue
		default:
		}
		break
	}
	return m
}
