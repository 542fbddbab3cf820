package engineio

import (
	"net/http"
	"time"

	"github.com/gorilla/websocket"
)

// serveUpgrade takes a WebSocket as the candidate to carry a polling session.
// While another candidate is being probed, or after an upgrade, it is accepted
// and closed without a word, as in the reference (engine.io/lib/server.ts).
func (s *Session) serveUpgrade(w http.ResponseWriter, r *http.Request) {
	t, err := s.upgrade(w, r)
	if err != nil {
		return // answered; the polling session lives on
	}
	if !s.offer(t, t.probe) {
		t.abandon()
	}
}

// probe speaks the upgrade with the browser (Engine.IO v4, Upgrade): "2probe",
// "3probe", then the browser lets its last poll end and says "5". Whatever else
// comes, or nothing in time, closes the candidate alone.
func (t *wsConn) probe() {
	s := t.session
	t.conn.SetReadDeadline(time.Now().Add(s.srv.opts.UpgradeTimeout))
	if t.expect(packetPing, "probe") && t.answerProbe() && t.expect(packetUpgrade, "") && t.take() {
		t.read()
		return
	}
	s.withdraw()
	t.end()
}

// expect reads one packet and reports whether it is this one. A page that goes
// away takes its session along, unless a poll waits, which then tells by itself.
func (t *wsConn) expect(kind byte, data string) bool {
	k, b, err := t.readMessage()
	if websocket.IsCloseError(err, websocket.CloseGoingAway) {
		t.session.left()
	}
	if err != nil || k != websocket.TextMessage {
		return false
	}
	p, err := t.session.decodeFrame(k, b)
	return err == nil && p.kind == kind && string(p.data) == data
}

// answerProbe answers the probe, and lets the pending poll and those that
// follow return at once: the browser waits for them.
func (t *wsConn) answerProbe() bool {
	t.raw.SetWriteDeadline(time.Now().Add(t.session.srv.opts.UpgradeTimeout))
	if _, err := t.raw.Write(probeAnswer.frame); err != nil {
		return false
	}
	t.raw.SetWriteDeadline(time.Time{})
	t.session.probing()
	return true
}

// take makes the candidate the session's transport.
func (t *wsConn) take() bool {
	t.conn.SetReadDeadline(time.Time{})
	return t.session.adopt(t)
}
