package bus

import (
	"bytes"
	"slices"
	"sync"
)

// memorySubscription is a handler with what waits for it. The Memory's mutex guards it.
type memorySubscription struct {
	node    *memoryNode
	subject string
	handler func(Message)
	wake    *sync.Cond // there may be something to do for run

	queue   []Message
	pending int // bytes of the queue's payloads
	ended   bool
}

// pushLocked queues a message, or drops it.
func (s *memorySubscription) pushLocked(message Message) {
	if len(s.queue) >= MaxPendingMessages || s.pending+len(message.Payload) > MaxPending {
		s.node.dropped++
		return
	}
	message.Payload = bytes.Clone(message.Payload) // which run overwrites
	s.pending += len(message.Payload)
	s.queue = append(s.queue, message)
	s.wake.Signal()
}

// run calls the handler for what is queued until the subscription ends.
func (s *memorySubscription) run() {
	for {
		message, ok := s.next()
		if !ok {
			return
		}
		s.handler(message)
		for i := range message.Payload {
			message.Payload[i] = 0xdb // whoever kept it finds out
		}
	}
}

// next waits for a message; false: the subscription has ended.
func (s *memorySubscription) next() (Message, bool) {
	m := s.node.m
	m.mu.Lock()
	defer m.mu.Unlock()
	for !s.ended && (len(s.queue) == 0 || m.frozen[s.node.name]) {
		s.wake.Wait()
	}
	if s.ended {
		return Message{}, false
	}
	message := s.queue[0]
	s.queue[0] = Message{}
	s.queue = s.queue[1:]
	s.pending -= len(message.Payload)
	return message, true
}

func (s *memorySubscription) endLocked() {
	s.ended = true
	s.queue, s.pending = nil, 0
	s.wake.Signal()
}

// Unsubscribe implements Subscription.
func (s *memorySubscription) Unsubscribe() error {
	m := s.node.m
	m.mu.Lock()
	defer m.mu.Unlock()
	s.endLocked()
	s.node.subscriptions = slices.DeleteFunc(s.node.subscriptions, func(other *memorySubscription) bool { return other == s })
	return nil
}
