package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// Widths of the head, in cells: of a name, of a value, of a figure with both and a blank
// behind it, and from where on two figures stand beside each other.
const (
	nameWidth   = 12
	valueWidth  = 10
	figureWidth = 40
	twoColumns  = 2*figureWidth - 2
)

// totals are what is known of all nodes and groups together.
type totals struct {
	sessions     map[string]uint32 // by transport
	queued       uint64            // bytes, for browsers
	consumers    int
	pending      uint64 // events that wait for consumers
	pendingBytes uint64
	dead         uint64
	suspected    int // nodes
	rates        nodeRates
}

func (t *top) totals() totals {
	sum := totals{sessions: map[string]uint32{}, rates: t.rates.all()}
	for _, n := range t.last.nodes {
		for transport, sessions := range n.GetActivity().GetSessions() {
			sum.sessions[transport] += sessions
		}
		sum.queued += n.GetActivity().GetQueuedBytes()
		if n.GetState() == fanoutv1.ListNodesResponse_Node_SUSPECTED {
			sum.suspected++
		}
	}
	for _, g := range t.last.groups {
		sum.consumers += len(g.GetConsumers())
		sum.pending += uint64(g.GetPendingEvents())
		sum.pendingBytes += g.GetPendingBytes()
		sum.dead += g.GetDeadLetters()
	}
	return sum
}

// rooms are those that are more than the id of a connection.
func (s *sample) rooms() uint32 {
	return s.info.GetRooms() - min(s.info.GetRooms(), s.info.GetConnections())
}

// page is what is to be seen, on a terminal of this size.
func (t *top) page(now time.Time, width, height int) []line {
	page := t.head(now, width)
	if t.last == nil {
		return page
	}
	rows := height - len(page)
	if t.live {
		rows -= 2
	}
	if t.slow {
		page = append(page, t.slowLines(rows)...)
	} else {
		page = append(page, t.tables(rows)...)
	}
	if t.live {
		other := "s slow connections"
		if t.slow {
			other = "s groups and nodes"
		}
		page = append(page, line{}, line{text: "q leave   " + other})
	}
	return page
}

// head says who answers, what is wrong, and the figures of all nodes together.
func (t *top) head(now time.Time, width int) []line {
	if t.last == nil {
		page := []line{{"fanoutd  " + t.connect.at(), bold}}
		if t.err != nil {
			return append(page, line{t.err.Error(), alarm})
		}
		return append(page, line{text: "no answer yet"})
	}
	s, sum := t.last, t.totals()
	page := []line{{fmt.Sprintf("fanoutd %s  %s  up %s  %s  %s", clean(s.info.GetVersion()), clean(s.info.GetNode()), age(s.info.GetStartedAt()), t.connect.at(), s.at.Format("15:04:05")), bold}}
	if t.err != nil {
		page = append(page, line{t.err.Error() + "; what is shown was so " + rough(now.Sub(s.at)) + " ago", alarm})
	}
	if len(s.unreachable) > 0 {
		page = append(page, line{"nodes that did not answer, whose part is missing: " + names(s.unreachable), alarm})
	}
	page = append(page, line{text: figure("connections", number(s.info.GetConnections()), transports(sum.sessions))})
	figures := []string{
		figure("rooms", number(s.rooms()), ""), figure("nodes", number(len(s.nodes)), suspects(sum.suspected)),
		figure("events in", perSecond(sum.rates.in, sum.rates.known), ""), figure("events out", perSecond(sum.rates.out, sum.rates.known), ""),
		figure("emits", perSecond(sum.rates.emits, sum.rates.known), ""), figure("fan-out", fanOut(&sum.rates), "for an emit"),
		figure("queued", size(sum.queued), "for browsers"), figure("waiting", size(sum.pendingBytes), "for consumers"),
		figure("consumers", number(sum.consumers), "in "+plural(len(s.groups), "group")), figure("dead letters", number(sum.dead), ""),
	}
	columns := 2
	if width < twoColumns {
		columns = 1
	}
	for row := range slices.Chunk(figures, columns) {
		for i := range len(row) - 1 {
			row[i] = pad(row[i], figureWidth)
		}
		page = append(page, line{text: strings.Join(row, "")})
	}
	return page
}

// figure is one figure with its name, and what else there is to say.
func figure(name, value, more string) string {
	return strings.TrimRight(pad(name, nameWidth)+"  "+pad(value, valueWidth)+"  "+more, " ")
}

func suspects(n int) string {
	if n == 0 {
		return ""
	}
	return number(n) + " suspected"
}

// transports are sessions by transport.
func transports(sessions map[string]uint32) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(sessions)) {
		all = append(all, clean(name)+" "+number(sessions[name]))
	}
	return strings.Join(all, ", ")
}

// perSecond is a rate.
func perSecond(n float64, known bool) string {
	switch {
	case !known:
		return "-"
	case n < 10:
		return fmt.Sprintf("%.1f/s", n)
	}
	return fmt.Sprintf("%.0f/s", n)
}

// fanOut is how long an emit takes.
func fanOut(r *nodeRates) string {
	if r.emits == 0 {
		return "-"
	}
	switch d := time.Duration(r.fanOut / r.emits * float64(time.Second)); {
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d < time.Second:
		return fmt.Sprintf("%.1f ms", d.Seconds()*1000)
	default:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
}

// tables are the groups and the nodes, in so many lines.
func (t *top) tables(lines int) []line {
	groups, nodes := t.groupRows(), t.nodeRows()
	rows := max(0, lines-4) // without the titles, and the blanks above them
	forNodes := min(len(nodes), max(rows/2, rows-len(groups)))
	page := tableLines(rows-forNodes, groups, "GROUP", "MEMBERS", "WAITING", "LAG", "IN FLIGHT", "DELIVERED", "DEAD", "WARNING")
	return append(page, tableLines(forNodes, nodes, "NODE", "STATE", "CONNECTIONS", "LOAD", "EVENTS IN", "EVENTS OUT", "FAN-OUT", "QUEUED", "VERSION")...)
}

// tableLines is a table below a blank line, with so many of its rows: the last says how many
// there are beyond.
func tableLines(most int, rows [][]string, titles ...string) []line {
	beyond := 0
	if len(rows) > most {
		most = max(0, most-1)
		rows, beyond = rows[:most], len(rows)-most
	}
	var b strings.Builder
	t := (&output{w: &b}).table(titles...)
	for _, row := range rows {
		_ = t.row(nil, row...) // a Builder takes all
	}
	_ = t.flush()
	page := []line{{}}
	for text := range strings.Lines(b.String()) {
		page = append(page, line{text: strings.TrimSuffix(text, "\n")})
	}
	page[1].style = bold
	if beyond > 0 {
		page = append(page, line{text: fmt.Sprintf("… and %d more", beyond)})
	}
	return page
}

// groupRows are the groups, those first that somebody should look at.
func (t *top) groupRows() [][]string {
	groups := slices.Clone(t.last.groups)
	slices.SortStableFunc(groups, func(a, b *fanoutv1.ListConsumersResponse_Group) int {
		return trouble(b) - trouble(a)
	})
	var rows [][]string
	for _, g := range groups {
		delivered := t.rates.groups[g.GetName()]
		rows = append(rows, []string{
			g.GetName(), number(len(g.GetConsumers())), number(g.GetPendingEvents()), span(g.GetOldestPendingAge()), number(g.GetInFlight()),
			perSecond(delivered.delivered, delivered.known), number(g.GetDeadLetters()), groupWarning(g, len(g.GetConsumers())),
		})
	}
	return rows
}

// trouble is 2 for a group with a warning, 1 for one that is behind, 0 for others.
func trouble(g *fanoutv1.ListConsumersResponse_Group) int {
	switch {
	case groupWarning(g, len(g.GetConsumers())) != "":
		return 2
	case g.GetOldestPendingAge().AsDuration() >= time.Second:
		return 1
	}
	return 0
}

// nodeRows are the nodes, those first that do not answer.
func (t *top) nodeRows() [][]string {
	nodes := slices.Clone(t.last.nodes)
	slices.SortStableFunc(nodes, func(a, b *fanoutv1.ListNodesResponse_Node) int { return int(b.GetState()) - int(a.GetState()) })
	var rows [][]string
	for _, n := range nodes {
		r := t.rates.of(n.GetEpoch())
		cells := nodeCells(n)
		queued := ""
		if n.GetActivity() != nil {
			queued = size(n.GetActivity().GetQueuedBytes())
		}
		rows = append(rows, append(cells[:4:4], perSecond(r.in, r.known), perSecond(r.out, r.known), fanOut(&r), queued, n.GetVersion()))
	}
	return rows
}

// slowLines are the connections for which something waits, in so many lines.
func (t *top) slowLines(lines int) []line {
	slow := t.last.slow
	if slow == nil {
		return []line{{}, {text: "no connections were looked at yet"}}
	}
	var rows [][]string
	for _, c := range slow.list {
		rows = append(rows, []string{
			c.GetId(), c.GetUserId(), c.GetNamespace(), c.GetTransport(), c.GetNode(), c.GetRemoteAddress(), age(c.GetConnectedAt()),
			size(c.GetQueuedBytes()), number(c.GetVolatileDropped()),
		})
	}
	page := tableLines(max(0, lines-3), rows, "ID", "USER", "NAMESPACE", "TRANSPORT", "NODE", "ADDRESS", "SINCE", "WAITING", "DROPPED")
	of := "all there are"
	if !slow.all {
		of = fmt.Sprintf("of %d so far", t.last.info.GetConnections())
	}
	return append(page, line{text: fmt.Sprintf("something waits, or was dropped, for %d; looked at %s, %s", len(slow.list), plural(slow.looked, "connection"), of)})
}

// topObject is what a view shows, for programs. What comes from the API is as it has it.
type topObject struct {
	At       time.Time         `json:"at"`
	Node     string            `json:"node"`
	Version  string            `json:"version"`
	Sessions map[string]uint32 `json:"sessions"` // by transport

	Connections   uint32   `json:"connections"`
	Rooms         uint32   `json:"rooms"`
	EventsIn      *float64 `json:"eventsInPerSecond,omitempty"` // not known, as those below
	EventsOut     *float64 `json:"eventsOutPerSecond,omitempty"`
	Emits         *float64 `json:"emitsPerSecond,omitempty"`
	FanOutSeconds *float64 `json:"fanOutSeconds,omitempty"` // or there was no emit
	QueuedBytes   uint64   `json:"queuedBytes"`
	Consumers     int      `json:"consumers"`
	PendingEvents uint64   `json:"pendingEvents"`
	PendingBytes  uint64   `json:"pendingBytes"`
	DeadLetters   uint64   `json:"deadLetters"`

	Groups      []json.RawMessage `json:"groups"`
	Nodes       []json.RawMessage `json:"nodes"`
	Slow        []json.RawMessage `json:"slowConnections,omitempty"`
	Unreachable []string          `json:"unreachable,omitempty"`
}

// object writes what there is as one JSON object.
func (t *top) object() error {
	s, sum := t.last, t.totals()
	o := topObject{
		At: s.at.UTC(), Node: s.info.GetNode(), Version: s.info.GetVersion(), Sessions: sum.sessions,
		Connections: s.info.GetConnections(), Rooms: s.rooms(), QueuedBytes: sum.queued,
		Consumers: sum.consumers, PendingEvents: sum.pending, PendingBytes: sum.pendingBytes, DeadLetters: sum.dead,
		Unreachable: s.unreachable,
	}
	if r := &sum.rates; r.known {
		o.EventsIn, o.EventsOut, o.Emits = &r.in, &r.out, &r.emits
		if r.emits > 0 {
			o.FanOutSeconds = new(r.fanOut / r.emits)
		}
	}
	var err error
	if o.Groups, err = rawJSON(s.groups); err != nil {
		return err
	}
	if o.Nodes, err = rawJSON(s.nodes); err != nil {
		return err
	}
	if s.slow != nil {
		if o.Slow, err = rawJSON(s.slow.list); err != nil {
			return err
		}
	}
	text, err := json.Marshal(&o)
	if err != nil {
		return err
	}
	return t.out.line("%s", cleanJSON(string(text)))
}

// rawJSON is each of these as the daemon would answer it over HTTP.
func rawJSON[M proto.Message](all []M) ([]json.RawMessage, error) {
	list := make([]json.RawMessage, len(all))
	for i, m := range all {
		text, err := toJSON(m)
		if err != nil {
			return nil, err
		}
		list[i] = json.RawMessage(text)
	}
	return list, nil
}
