package engineio

import (
	"net/netip"
	"sync"
	"time"
)

// candidateInput tells whether a candidate's peer has said something that was
// not acted upon yet, so that a poll that comes after the "5" that ends polling is
// not taken for one that came before.
type candidateInput struct {
	from   netip.Addr  // the candidate's; invalid: it has none
	silent func() bool // nothing waits in the connection; nil: one cannot look, as with TLS

	mu      sync.Mutex
	busy    bool          // something was read and is being handled
	decided bool          // the candidate has taken over, or is none any more
	handled chan struct{} // closed when what is being handled was; nil: nobody waits
}

// received is called by the candidate's reader before it takes something from
// the connection, or, where it cannot tell before, just after.
func (c *candidateInput) received() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy = true
}

// idle is called when the reader is about to wait for more.
func (c *candidateInput) idle() { c.end(false) }

// decide is called when the candidate's time is over, either way.
func (c *candidateInput) decide() { c.end(true) }

func (c *candidateInput) end(decided bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy, c.decided = false, c.decided || decided
	if c.handled != nil {
		close(c.handled)
		c.handled = nil
	}
}

// lookWait is how long a poll waits for the reader of a connection that one cannot
// look at: what has arrived is read within.
const lookWait = 5 * time.Millisecond

// wait returns when the candidate's peer has said nothing that is not handled, or
// when done is closed.
func (c *candidateInput) wait(done <-chan struct{}) {
	var looked <-chan time.Time
	silent := c.silent
	if silent == nil {
		looked = time.After(lookWait)
		silent = func() bool { return looked == nil }
	}
	for {
		quiet := silent() // first: the reader says that it is busy before it takes what makes this true
		c.mu.Lock()
		busy, decided := c.busy, c.decided
		if c.handled == nil {
			c.handled = make(chan struct{})
		}
		handled := c.handled
		c.mu.Unlock()
		if decided || !busy && quiet {
			return
		}
		if !busy && silent() {
			continue // what was there has been handled in between
		}
		select {
		case <-handled:
		case <-looked:
			looked = nil
		case <-done:
			return
		}
	}
}
