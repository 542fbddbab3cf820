package sio

import (
	"encoding/json"
	"strings"

	"github.com/fanoutd/fanoutd/internal/sio/engineio"
)

// foreign reports whether a client's first message, which could not be decoded, is
// of another parser: bytes that are no MessagePack packet, or text that begins as a
// JSON value and not as a packet. Clients of v2 are not asked: they have read a
// packet of ours before their first.
func foreign(data []byte, binary bool) bool {
	return binary || len(data) > 0 && strings.IndexByte("{[\"", data[0]) >= 0
}

// refuseParser ends the session of a client whose parser is not known. A stock client
// that can read the refusal stops there; a mere end would have it come back for ever.
// So the refusal is a CONNECT_ERROR as its likeliest reader writes packets: an object
// of JSON, or else a map of MessagePack.
func (c *conn) refuseParser(data []byte, binary bool, err error) {
	log := c.server.log.Debug
	if _, ok := c.server.parserWarnings.Event(); ok {
		log = c.server.log.Warn
	}
	log("refused a client with an unknown parser: its first message is neither a JSON nor a MessagePack packet of Socket.IO", "remote", c.handshake.remoteAddr, "binary", binary, "error", err)
	if binary {
		c.reply("/", &Refusal{Message: MessageUnknownParser})
	} else {
		c.session.Send(engineio.Text(connectErrorObject(data)))
	}
	c.session.Close(ReasonUnknownParser)
}

// connectErrorObject returns a CONNECT_ERROR in answer to a CONNECT that was, perhaps,
// an object with the packet's members.
func connectErrorObject(connect []byte) []byte {
	type message struct {
		Message string `json:"message"`
	}
	var p struct {
		Type int     `json:"type"`
		Nsp  string  `json:"nsp"`
		Data message `json:"data"`
	}
	if json.Unmarshal(connect, &struct{ Nsp *string }{&p.Nsp}) != nil || p.Nsp == "" {
		p.Nsp = "/"
	}
	p.Type, p.Data.Message = 4, MessageUnknownParser
	text, _ := json.Marshal(p) // strings and an int cannot fail
	return text
}
