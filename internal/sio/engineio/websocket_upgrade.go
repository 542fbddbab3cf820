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
	t, err := s.acceptWebSocket(w, r)
	if err != nil {
		return // answered; the polling session lives on
	}
	input := &candidateInput{from: addressOf(r.RemoteAddr), busy: t.conn.Buffered() > 0} // what came with the handshake is no longer in the connection
	if t.socket != nil {
		input.silent = t.socket.Silent
	}
	if !s.addCandidate(t, input, func() { t.probe(input) }) {
		t.abort()
	}
}

// probe speaks the upgrade with the browser, and then reads for as long as the
// connection carries the session.
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
	taken := s.negotiate(t)
	t.conn.WrapReads(nil)
	if !taken {
		s.removeCandidate()
	}
	input.decide()
	if !taken {
		t.end()
		return
	}
	t.read(false)
}

// next reads one packet of a candidate. A page that goes away takes its session
// along, unless a poll waits, which then tells by itself.
func (t *wsConn) next() (inbound, error) {
	opcode, data, err := t.conn.ReadMessage()
	if err != nil {
		if wsconn.CloseStatus(err) == wsconn.GoingAway {
			t.session.pageClosed()
		}
		return inbound{}, err
	}
	p, err := t.session.decodeFrame(opcode, data)
	if err == nil {
		t.session.countReceived(transportWebSocket, p)
	}
	return p, err
}

// answerProbe writes the answer by itself: what the outbox holds still goes by polls.
func (t *wsConn) answerProbe() error {
	t.session.countSent(transportWebSocket, []*Message{probeAnswer})
	t.conn.NetConn().SetWriteDeadline(time.Now().Add(t.session.srv.opts.UpgradeTimeout))
	_, err := t.conn.NetConn().Write(probeAnswer.frame)
	t.conn.NetConn().SetWriteDeadline(time.Time{})
	return err
}

func (t *wsConn) ready() { t.conn.SetReadDeadline(time.Time{}) }
