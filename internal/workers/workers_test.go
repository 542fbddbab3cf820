package workers

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// All that comes at once is under way at once, and later things find the
// goroutines that did it.
func TestPool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var done atomic.Int32
		begin := make(chan struct{})
		p := New(func(n int) {
			<-begin
			done.Add(int32(n))
		})
		const many = 3 * maxWaiting
		for range many {
			p.Do(1)
		}
		close(begin)
		synctest.Wait()
		if n := done.Load(); n != many {
			t.Errorf("%d of %d are done", n, many)
		}
		if n := p.waiting.Load(); n != maxWaiting {
			t.Errorf("%d wait for more", n)
		}
		p.Do(1)
		synctest.Wait()
		if n, w := done.Load(), p.waiting.Load(); n != many+1 || w != maxWaiting {
			t.Errorf("%d are done and %d wait for more", n, w)
		}
		p.Stop() // the bubble ends only when all goroutines have
	})
}
