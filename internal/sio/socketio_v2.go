package sio

import (
	"encoding/json"
	"net/url"
	"strings"

	"github.com/fanoutd/fanoutd/internal/sio/engineio"
	"github.com/fanoutd/fanoutd/internal/sio/parser"
)

var _ engineio.Starter = (*conn)(nil)

// old reports whether the client speaks Socket.IO v2, which comes over Engine.IO
// v3. It differs in what surrounds the CONNECT packet alone; its decoder is the
// same.
func (c *conn) old() bool { return c.session.Protocol() == 3 }

// Start implements engineio.Starter: such a client does not ask for the default
// namespace, it is connected to it (socket.io/lib/index.ts, onconnection).
func (c *conn) Start() {
	if c.old() {
		c.exclusively(func() { c.connect(&parser.Packet{Type: parser.Connect, Namespace: "/"}) })
	}
}

// upcast turns a CONNECT packet of such a client into one of today: a query
// behind the namespace's name was what auth is now (socket.io/lib/client.ts,
// ondecoded).
func (c *conn) upcast(p *parser.Packet) {
	if !c.old() {
		return
	}
	name, query, has := strings.Cut(p.Namespace, "?")
	p.Namespace, p.Data = name, nil
	if !has {
		return
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return // as good as none
	}
	auth := make(map[string]string, len(values))
	for k, v := range values {
		auth[k] = v[len(v)-1]
	}
	p.Data, _ = json.Marshal(auth) // a map of strings cannot fail
}

// downcast turns the data of a packet into what such a client reads: a CONNECT
// reply holds nothing, an error packet the refusal's data, or else the message
// itself (socket.io/lib/namespace.ts, run).
func (c *conn) downcast(t parser.Type, data []byte) []byte {
	if !c.old() {
		return data
	}
	switch t {
	case parser.Connect:
		return nil
	case parser.ConnectError:
		var refusal struct{ Message, Data json.RawMessage }
		switch err := json.Unmarshal(data, &refusal); {
		case err != nil:
		case refusal.Data != nil:
			return refusal.Data
		case refusal.Message != nil:
			return refusal.Message
		}
	}
	return data
}
