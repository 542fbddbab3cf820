package backend

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio"
)

// TestRecoveryExpired: handlers hear that a client may come back, and that it cannot.
func TestRecoveryExpired(t *testing.T) {
	inBubbleWith(t, "", sio.Options{RecoveryWindow: time.Minute}, func(w *world) {
		client := w.dial()
		defer client.Close()
		c := client.Consumer(ConsumerOptions{Group: "g"})
		var heard notes
		c.OnDisconnect(func(_ context.Context, e *Event) error {
			heard.add(fmt.Sprint("disconnect, recoverable ", e.Recoverable))
			return nil
		})
		c.OnRecoveryExpired(func(_ context.Context, e *Event) error {
			heard.add(fmt.Sprint(e.Sequence, " expired ", e.Recovery))
			return nil
		})
		stop := w.start(c)
		b := w.browsers.MustDialWS(w.t, "EIO=4&transport=websocket")
		b.Next() // open
		b.Say("40")
		b.Next()
		b.Close()
		synctest.Wait()
		time.Sleep(time.Minute)
		expect(t, "heard", heard.take(), "disconnect, recoverable true; 3 expired EXPIRED")
		stop()
	})
}
