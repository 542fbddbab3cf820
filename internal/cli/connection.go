package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// connection shows all of one connection.
func (r *run) connection(namespace, id string) error {
	answer, err := ask(r, r.registry.GetConnection, &fanoutv1.GetConnectionRequest{Namespace: namespace, Id: id})
	if err != nil {
		return err
	}
	c := answer.GetConnection()
	if r.json {
		return r.out.object(c)
	}
	rows := [][2]string{
		{"id", c.GetId()},
		{"namespace", c.GetNamespace()},
		{"user", c.GetUserId()},
		{"rooms", strings.Join(roomsOf(c), " ")},
		{"node", c.GetNode()},
		{"address", c.GetRemoteAddress()},
		{"transport", fmt.Sprintf("%s, Engine.IO %d", c.GetTransport(), c.GetProtocol())},
		{"connected", moment(c.GetConnectedAt()) + ", " + age(c.GetConnectedAt()) + " ago"},
		{"waiting", size(c.GetQueuedBytes())},
		{"volatile dropped", number(c.GetVolatileDropped())},
		{"session", c.GetSession()},
	}
	if c.GetExpiresAt() != nil {
		rows = append(rows, [2]string{"expires", moment(c.GetExpiresAt()) + ", in " + until(c.GetExpiresAt())})
	}
	if data := jsonOf(c.GetData(), c.GetDataJson()); data != "" {
		rows = append(rows, [2]string{"data", data})
	}
	if h := c.GetHandshake(); h != nil {
		rows = append(rows, [2]string{"url", h.GetUrl()}, [2]string{"encrypted", map[bool]string{true: "yes", false: "no"}[h.GetSecure()]})
		for _, name := range slices.Sorted(maps.Keys(h.GetHeaders())) {
			rows = append(rows, [2]string{"header " + name, h.GetHeaders()[name]})
		}
		if auth := jsonOf(h.GetAuth(), h.GetAuthJson()); auth != "" {
			rows = append(rows, [2]string{"auth", auth})
		}
	}
	if err := r.out.fields(rows); err != nil {
		return err
	}
	for _, text := range unusual(c) {
		if err := r.out.line("\n%s", text); err != nil {
			return err
		}
	}
	return nil
}

// jsonOf is data as JSON, in whichever form it came.
func jsonOf(data proto.Message, text string) string {
	if text != "" || !data.ProtoReflect().IsValid() {
		return text
	}
	text, _ = toJSON(data) // a Struct that came can be written
	return text
}

// slowBytes is how much waits for a browser that reads too slowly, and not only for the
// next write.
const slowBytes = 16 << 10

// unusual says what may be why a browser does not get what it should.
func unusual(c *fanoutv1.Connection) []string {
	var all []string
	if c.GetQueuedBytes() >= slowBytes {
		all = append(all, size(c.GetQueuedBytes())+" wait for this browser: it reads too slowly, or its network does. At max-queue it is disconnected.")
	}
	if n := c.GetVolatileDropped(); n > 0 {
		all = append(all, plural(n, "volatile event")+" dropped: the browser could not take them at their moment.")
	}
	if len(roomsOf(c)) == 0 {
		all = append(all, "It is in no room: only what is sent to all, to its user or to its id reaches it.")
	}
	if c.GetUserId() == "" {
		all = append(all, "It belongs to no user: what is sent to a user does not reach it.")
	}
	switch r := c.GetRecovery(); r {
	case fanoutv1.Connection_NONE, fanoutv1.Connection_RECOVERED:
	default:
		all = append(all, "It was cut off, and has missed what was sent meanwhile ("+r.String()+").")
	}
	return all
}
