package control

import (
	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// recoveries are what may come of a client's wish to come back, as programs read it. Each
// has its row.
var recoveries = map[sio.Recovery]fanoutv1.Connection_Recovery{
	"":                        fanoutv1.Connection_NONE,
	sio.Recovered:             fanoutv1.Connection_RECOVERED,
	sio.RecoveryExpired:       fanoutv1.Connection_EXPIRED,
	sio.RecoveryEvicted:       fanoutv1.Connection_EVICTED,
	sio.RecoveryUnknownOffset: fanoutv1.Connection_UNKNOWN_OFFSET,
	sio.RecoveryOtherUser:     fanoutv1.Connection_OTHER_USER,
	sio.RecoveryNodeGone:      fanoutv1.Connection_NODE_GONE,
	sio.RecoveryChanged:       fanoutv1.Connection_CHANGED,
	sio.RecoveryTooMuch:       fanoutv1.Connection_TOO_MUCH,
	sio.RecoveryBusy:          fanoutv1.Connection_BUSY,
	sio.RecoveryUnknown:       fanoutv1.Connection_UNKNOWN,
}

// toRecovery returns what programs read. A newer node may say what is not known here.
func toRecovery(r sio.Recovery) fanoutv1.Connection_Recovery {
	if known, ok := recoveries[r]; ok {
		return known
	}
	return fanoutv1.Connection_UNKNOWN
}
