package engineio

import "time"

// turns gives others a turn from a goroutine that has much to do, as long as that is cheap:
// where the others wait for the network, a turn takes as long as what came for them. Where
// they compute, it takes up to 10 ms for each that can run, and turns given as often as
// before would leave the goroutine next to nothing of its processor.
type turns struct {
	give func()

	none time.Time // until then there is no turn
}

// A turn that took more than longTurn is followed by none for rareTurns times as long.
const (
	longTurn  = time.Millisecond
	rareTurns = 10
)

// offer gives a turn, unless the last that took long is not over for long enough.
func (t *turns) offer() {
	began := time.Now()
	if began.Before(t.none) {
		return
	}
	t.give()
	ended := time.Now()
	if took := ended.Sub(began); took > longTurn {
		t.none = ended.Add(rareTurns * took)
	}
}
