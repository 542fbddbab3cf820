package engineio

// phase is how far a session has come.
type phase uint8

// The phases of a session. Session.mu guards them.
//
//	from                 to        when
//	opening              polling   the open packet goes out in a poll's answer
//	opening              linked    the session was opened over a link
//	polling              offered   a candidate connected
//	offered              probed    the candidate's probe was answered
//	offered, probed      polling   the candidate failed, or was too slow
//	offered, probed      linked    the browser said "5", which needs no probe
//	each of these        closing   Close
//	closing              closed    the teardown has ended
const (
	phaseOpening phase = iota // nobody carries it yet
	phasePolling              // polls carry it
	phaseOffered              // polls carry it; Session.candidate is there
	phaseProbed               // the same; polls return at once, because the browser waits for its last one to end
	phaseLinked               // Session.link carries it
	phaseClosing              // Session.ending says why; what is queued goes out, if the reason lets it, also over a candidate that completes its upgrade
	phaseClosed               // the server knows it no more
)

// open reports whether the session is not closing nor closed.
func (p phase) open() bool { return p < phaseClosing }
