package engineio

import (
	"net/http"
	"time"

	"github.com/fanoutd/fanoutd/internal/wsconn"
)

// serveUpgrade takes a WebSocket as the candidate to carry a polling session.
// While another candidate is being probed, or after an upgrade, it is accepted
// and closed without a word, as in the reference (engine.io/lib/server.ts).
func (s *Session) serveUpgrade(w http.ResponseWriter, r *http.Request) {
	t, err := s.upgrade(w, r)
	if err != nil {
		return // answered; the polling session lives on
	}
	input := &candidateInput{}
	if t.socket != nil {
		input.silent = t.socket.Silent
	}
	if !s.addCandidate(t, input, func() { t.probe(input) }) {
		t.abort()
	}
}

// probe speaks the upgrade with the browser (Engine.IO v4, Upgrade): "2probe",
// "3probe", then the browser lets its last poll end and says "5". Whatever else
// comes, or nothing in time, closes the candidate alone.
func (t *wsConn) probe(input *candidateInput) {
	s := t.session
	t.conn.SetReadDeadline(time.Now().Add(s.srv.opts.UpgradeTimeout))
	t.conn.WrapReads(func(read func()) {
		input.idle()
		if t.socket == nil {
			read()
			input.received()
			return
		}
		t.socket.AwaitInput() // so that there is no moment at which neither tells
		input.received()
		read()
	})
	taken := t.expect(packetPing, "probe") && t.answerProbe() && t.expect(packetUpgrade, "") && t.take()
	t.conn.WrapReads(nil)
	if !taken {
		s.removeCandidate()
	}
	input.decide()
	if !taken {
		t.end()
		return
	}
	t.read()
}

// expect reads one packet and reports whether it is this one. A page that goes
// away takes its session along, unless a poll waits, which then tells by itself.
func (t *wsConn) expect(kind byte, data string) bool {
	opcode, b, err := t.conn.ReadMessage()
	if wsconn.CloseStatus(err) == wsconn.GoingAway {
		t.session.pageClosed()
	}
	if err != nil || opcode != wsconn.OpText {
		return false
	}
	p, err := t.session.decodeFrame(opcode, b)
	return err == nil && p.kind == kind && string(p.data) == data
}

// answerProbe answers the probe, and lets the pending poll and those that
// follow return at once: the browser waits for them.
func (t *wsConn) answerProbe() bool {
	t.conn.NetConn().SetWriteDeadline(time.Now().Add(t.session.srv.opts.UpgradeTimeout))
	if _, err := t.conn.NetConn().Write(probeAnswer.frame); err != nil {
		return false
	}
	t.conn.NetConn().SetWriteDeadline(time.Time{})
	t.session.probeAnswered()
	return true
}

// take makes the candidate the session's transport.
func (t *wsConn) take() bool {
	t.conn.SetReadDeadline(time.Time{})
	return t.session.completeUpgrade(t)
}
