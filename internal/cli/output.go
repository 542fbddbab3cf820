package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/term"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// output shows answers: to people as sentences and tables, or as JSON.
type output struct {
	w    io.Writer
	json bool
	bold bool // a terminal that is not asked to do without

	terminal *os.File // what w is, if it can show one page in place of another; nil: it cannot
}

func newOutput(w io.Writer, asJSON bool, environ map[string]string) *output {
	f, isFile := w.(*os.File)
	o := &output{w: w, json: asJSON}
	if isFile && term.IsTerminal(int(f.Fd())) && environ["TERM"] != "dumb" {
		o.terminal, o.bold = f, environ["NO_COLOR"] == ""
	}
	return o
}

// show writes m as JSON, or else the sentence.
func (o *output) show(m proto.Message, format string, args ...any) error {
	if o.json {
		return o.object(m)
	}
	return o.line(format, args...)
}

// line writes one line for people, of which what came from elsewhere is clean.
func (o *output) line(format string, args ...any) error {
	_, err := fmt.Fprintf(o.w, format+"\n", args...)
	return err
}

// fields writes what something is, a line for each name and value.
func (o *output) fields(all [][2]string) error {
	width := 0
	for _, f := range all {
		width = max(width, cells(clean(f[0])))
	}
	for _, f := range all {
		value := cut(clean(f[1]), maxShownArgs)
		if value == "" {
			value = "-"
		}
		if err := o.line("%s  %s", pad(clean(f[0]), width), value); err != nil {
			return err
		}
	}
	return nil
}

// object writes m as one line of JSON.
func (o *output) object(m proto.Message) error {
	text, err := toJSON(m)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(o.w, text)
	return err
}

// toJSON is m as the daemon would answer it over HTTP.
func toJSON(m proto.Message) (string, error) {
	text, err := protojson.Marshal(m)
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	if err := json.Compact(&b, text); err != nil { // the blanks of protojson are not always the same
		return "", err
	}
	return cleanJSON(b.String()), nil
}

// maxTableRows is how many rows are aligned with each other: as many as a page has.
const maxTableRows = 1000

// maxCell bounds what stands in one column, in cells of a terminal. JSON shows all.
const maxCell = 60

// table shows rows in columns that are as wide as what they hold.
type table struct {
	out    *output
	titles []string
	widths []int
	rows   [][]string
	begun  bool
	full   bool // the last column is not cut
}

// table returns an empty table; nothing is written of one without rows but its titles.
func (o *output) table(titles ...string) *table {
	t := &table{out: o, titles: titles, widths: make([]int, len(titles))}
	for i, title := range titles {
		t.widths[i] = len(title)
	}
	return t
}

// row adds m to what is shown: it as JSON, or else these cells, cleaned and cut.
func (t *table) row(m proto.Message, row ...string) error {
	if t.out.json {
		return t.out.object(m)
	}
	for i := range row {
		row[i] = clean(row[i])
		if !t.full || i < len(row)-1 {
			row[i] = cut(row[i], maxCell)
		}
		if row[i] == "" {
			row[i] = "-"
		}
		t.widths[i] = max(t.widths[i], cells(row[i]))
	}
	t.rows = append(t.rows, row)
	if len(t.rows) == maxTableRows {
		return t.flush()
	}
	return nil
}

// flush writes the rows that there are.
func (t *table) flush() error {
	if t.out.json {
		return nil
	}
	var b strings.Builder
	if !t.begun {
		t.begun = true
		if t.out.bold {
			b.WriteString("\x1b[1m")
		}
		t.write(&b, t.titles)
		if t.out.bold {
			b.WriteString("\x1b[0m")
		}
		b.WriteByte('\n')
	}
	for _, row := range t.rows {
		t.write(&b, row)
		b.WriteByte('\n')
	}
	t.rows = nil
	_, err := io.WriteString(t.out.w, b.String())
	return err
}

// write adds one line without its end, and without blanks there.
func (t *table) write(b *strings.Builder, row []string) {
	for i, cell := range row {
		if i < len(row)-1 {
			cell = pad(cell, t.widths[i]+2)
		}
		b.WriteString(cell)
	}
}

// number is n as it is shown in tables.
func number[N uint32 | uint64 | int](n N) string { return strconv.FormatUint(uint64(n), 10) }

// size is n bytes.
func size[N uint32 | uint64](n N) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}

// plural is n with its noun.
func plural[N uint32 | int](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// age is how long ago t was, roughly; empty if t is not set.
func age(t *timestamppb.Timestamp) string {
	if t == nil {
		return ""
	}
	return rough(time.Since(t.AsTime()))
}

// until is how long it is to t, roughly.
func until(t *timestamppb.Timestamp) string {
	if t == nil {
		return ""
	}
	return rough(time.Until(t.AsTime()))
}

func span(d *durationpb.Duration) string {
	if d == nil {
		return ""
	}
	return rough(d.AsDuration())
}

// rough is d in its largest unit.
func rough(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d/time.Second))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d/time.Minute), int(d%time.Minute/time.Second))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d/time.Hour), int(d%time.Hour/time.Minute))
	}
	return fmt.Sprintf("%dd", int(d/(24*time.Hour)))
}

// moment is t in the time of this machine, to the second.
func moment(t *timestamppb.Timestamp) string {
	if t == nil {
		return ""
	}
	return t.AsTime().Local().Format("2006-01-02 15:04:05")
}
