package engineio

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestTurnsStayAShare has a goroutine do its work in pieces of 100 us, offering a turn after
// each: turns in which others compute take it a bounded share of the time, and short ones
// are all given.
func TestTurnsStayAShare(t *testing.T) {
	const piece, pieces = 100 * time.Microsecond, 10_000
	for name, tt := range map[string]struct {
		took time.Duration // what a turn takes
		all  bool          // each is given
	}{
		"nobody wants it":      {took: 0, all: true},
		"events come in":       {took: 200 * time.Microsecond, all: true},
		"processors are busy":  {took: 84 * time.Millisecond},
		"one processor is":     {took: 169 * time.Millisecond},
		"very many goroutines": {took: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				given, began := 0, time.Now()
				x := turns{give: func() { given++; time.Sleep(tt.took) }}
				for range pieces {
					time.Sleep(piece)
					x.offer()
				}
				work, others := pieces*piece, time.Since(began)-pieces*piece
				switch {
				case tt.all && given != pieces:
					t.Errorf("%d of %d turns were given", given, pieces)
				case !tt.all && given == 0:
					t.Error("no turn was given")
				case !tt.all && others > work/rareTurns+tt.took:
					t.Errorf("%v of work took %v more, in %d turns", work, others, given)
				}
			})
		})
	}
}
