package nats

import (
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/fanoutd/fanoutd/internal/cluster/bus"
)

// subscription is a handler that NATS calls until it ends.
type subscription struct {
	conn    *conn
	handler func(bus.Message)
	client  *nats.Subscription

	mu    sync.Mutex
	ended bool
}

// noResponders is the status of the server's word that nobody subscribes.
const noResponders = "503"

// receive hands a message to the handler.
func (s *subscription) receive(m *nats.Msg) {
	if !s.begin() {
		return
	}
	defer s.conn.running.Done()
	message := bus.Message{Subject: s.conn.local(m.Subject), Payload: m.Data}
	if len(m.Data) == 0 && m.Header.Get("Status") == noResponders {
		message = bus.Message{Subject: message.Subject, NoResponders: true}
	}
	s.handler(message)
}

// begin counts a call in, unless the subscription has ended.
func (s *subscription) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	s.conn.running.Add(1)
	return true
}

// end keeps calls from beginning.
func (s *subscription) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
}

// dropped returns how many messages the handler was too slow for.
func (s *subscription) dropped() uint64 {
	n, err := s.client.Dropped()
	if err != nil { // it has ended
		return 0
	}
	return uint64(n)
}

// Unsubscribe implements bus.Subscription.
func (s *subscription) Unsubscribe() error {
	s.end()
	if !s.conn.remove(s, s.dropped()) {
		return nil
	}
	return s.client.Unsubscribe()
}
