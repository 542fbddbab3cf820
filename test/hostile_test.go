package test

import (
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// TestHostile attacks daemons of their own, one attack each.
func TestHostile(t *testing.T) {
	if testing.Short() {
		t.Skip("floods daemons for a minute; run without -short")
	}
	needLinux(t)
	needFiles(t, 18_000)
	path, err := filepath.Abs(binary(t.Context(), t))
	if err != nil {
		t.Fatal(err)
	}
	// They mostly wait: more of them at once than there are processors. Those that
	// wait longest come first.
	slots := make(chan struct{}, attacksAtOnce)
	var running sync.WaitGroup
	defer running.Wait()
	for _, attack := range []struct {
		name string
		run  func(t *testing.T, binary string)
	}{
		{"unread polls", attackUnreadPolls},
		{"half-open upgrades", attackHalfOpen},
		{"slow requests", attackSlowly},
		{"bodies nobody wants", attackUnwanted},
		{"CONNECT floods", attackConnects},
		{"ping floods", attackPings},
		{"ping floods of EIO3", attackOldPings},
		{"unread answers", attackUnreadAnswers},
		{"unread CONNECT floods", attackUnreadConnects},
		{"max-pending", attackMaxPending},
		{"address limits", attackAddresses},
		{"verdicts never given", attackVerdicts},
		{"attachments", attackAttachments},
		{"attachments over polling", attackPolledAttachments},
		{"fragments", attackFragments},
		{"deflate bomb", attackDeflate},
		{"headers", attackHeaders},
		{"bodies", attackBodies},
		{"fat handshakes", attackFatHandshakes},
		{"mistakes", attackMistakes},
	} {
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			t.Run(attack.name, func(t *testing.T) { attack.run(t, path) })
		})
	}
}

const attacksAtOnce = 6

// A small attack grows the daemon by garbage only.
const smallGrowth = 48 << 20

// attackMistakes breaks the protocols in one session each: it is closed with the
// reason, and nobody else.
func attackMistakes(t *testing.T, binary string) {
	s := besiege(t, binary)
	const (
		parseError = `"parse error"`
		tooLarge   = "closed with 1009"
		open       = "" // it lives on
	)
	long := strings.Repeat("x", 900_000)
	for _, m := range []struct {
		name   string
		frames []byte
		want   string
	}{
		{"eleven attachments", text(`4511-["x",{"_placeholder":true,"num":0}]`), parseError},
		{"eleven attachments to an ack", text(`4611-1["x"]`), parseError},
		{"2^64 attachments", text(`4518446744073709551616-["x"]`), parseError},
		{"zero attachments announced", text(`450-["x"]`), parseError},
		{"no number of attachments", text(`45-["x"]`), parseError},
		{"no attachment follows", append(text(`451-["x",{"_placeholder":true,"num":0}]`), text(`42["y"]`)...), parseError},
		{"none ever follows", text(`451-["x",{"_placeholder":true,"num":0}]`), "attachment timeout"},
		{"a placeholder beyond the last", text(`451-["x",{"_placeholder":true,"num":1}]`), parseError},
		{"binary out of nowhere", appendFrame(nil, frameFinal|frameBinary, []byte("xyz")), parseError},
		{"nesting", text(`42["x",` + strings.Repeat("[", 100_000)), parseError},
		{"nesting, closed", text(`42["x",` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + "]"), open},
		{"nesting of objects", text(`42["x",` + strings.Repeat(`{"a":`, 100_000)), parseError},
		{"an event's long name", text(`42["` + long + `"]`), open},
		{"a namespace's long name", text(`40/` + long + ","), open},
		{"an ack id of 2^53-1", text(`429007199254740991["x"]`), open},
		{"an ack id of 2^53", text(`429007199254740992["x"]`), open},
		{"an ack id of 2^64", text(`4218446744073709551616["x"]`), parseError},
		{"an ack id of digits only", text(`42` + strings.Repeat("9", 900_000) + `["x"]`), parseError},
		{"an ack nobody waits for", text(`439007199254740991[]`), open},
		{"not UTF-8", text("42[\"\xff\"]"), parseError},
		{"no JSON", text(`42["x"`), parseError},
		{"a reserved name", text(`42["disconnecting"]`), parseError},
		{"an unknown packet", text("49"), parseError},
		{"an unknown engine packet", text("9"), parseError},
		{"an empty message", text(""), parseError},
		{"a ping from the client", text("2"), "transport error"},
		{"a second CONNECT", text("40"), open},
		{"a namespace not joined", text(`42/tenant-1,["x"]`), parseError},
		{"CONNECT_ERROR from the client", text(`44{"message":"x"}`), parseError},
		{"unmasked", []byte{frameFinal | frameText, 2, '4', '1'}, "bad MASK"},
		{"RSV1", appendFrame(nil, frameFinal|frameRSV1|frameText, []byte("41")), "RSV1 set"},
		{"RSV2", appendFrame(nil, frameFinal|frameRSV2|frameText, []byte("41")), "RSV2 set"},
		{"an unknown opcode", appendFrame(nil, frameFinal|3, nil), "bad opcode 3"},
		{"a length of 2^63", []byte{frameFinal | frameText, frameMasked | frameLength64, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, "transport error"},
		{"a length of 2^63-1", []byte{frameFinal | frameText, frameMasked | frameLength64, 0x7f, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0}, tooLarge},
		{"a byte too many", text("42" + strings.Repeat("x", 999_999)), tooLarge},
		{"a long ping", appendFrame(nil, frameFinal|framePing, make([]byte, 126)), "len > 125 for control"},
		{"a ping in pieces", appendFrame(nil, framePing, nil), "FIN not set on control"},
		{"a continuation of nothing", appendFrame(nil, frameFinal|frameMore, nil), "continuation after FIN"},
		{"a message within a message", append(appendFrame(nil, frameText, []byte("4")), text("41")...), "data before FIN"},
	} {
		t.Run(m.name, func(t *testing.T) {
			w, err := s.webSocket("")
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			if err := w.join(); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(m.frames); err != nil {
				t.Fatal(err)
			}
			if m.want != open {
				if err := w.end(); !strings.Contains(err.Error(), m.want) {
					t.Errorf("ended with %v, want %s", err, m.want)
				}
				return
			}
			if err := stillThere(w); err != nil {
				t.Error(err)
			}
		})
	}
	s.lift(smallGrowth)
}

// stillThere joins "/" once more, which a session that lives answers.
func stillThere(w *rawSocket) error {
	if err := w.say("40"); err != nil {
		return err
	}
	for { // what was said before may have been refused
		if accepted, _, err := w.answers(1); accepted == 1 || err != nil {
			return err
		}
	}
}

// enough is more than any connection takes that nobody reads from: the kernel
// buffers some MiB.
const enough = 256 << 20
