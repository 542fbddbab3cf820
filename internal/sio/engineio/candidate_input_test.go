package engineio

import (
	"testing"
	"testing/synctest"
)

// Whatever the reader does between two looks of a poll, the poll waits for what was
// said before it, and for nothing else.
func TestCandidateInputBetweenLooks(t *testing.T) {
	t.Run("taken", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := &candidateInput{}
			looks := 0
			c.silent = func() bool {
				if looks++; looks == 1 { // the reader has just emptied the connection
					c.received()
				}
				return true
			}
			waited := make(chan struct{})
			go func() {
				defer close(waited)
				c.wait(nil)
			}()
			synctest.Wait()
			select {
			case <-waited:
				t.Error("the poll did not wait for what was being handled")
			default:
			}
			c.idle()
			<-waited
		})
	})
	t.Run("taken and handled", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := &candidateInput{}
			looks := 0
			c.silent = func() bool {
				if looks++; looks > 1 {
					return true
				}
				c.received()
				c.idle()
				return false // as it was seen just before
			}
			c.wait(nil) // or the bubble is deadlocked
		})
	})
}
