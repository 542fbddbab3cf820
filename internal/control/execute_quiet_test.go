package control

import (
	"fmt"
	"testing"
	"testing/synctest"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
)

// doAll sends quiet commands in one message.
func (x *executor) doAll(ops ...*fanoutv1.Operation) {
	x.t.Helper()
	var commands []*fanoutv1.ExecuteRequest_Command
	for _, op := range ops {
		x.last++
		commands = append(commands, &fanoutv1.ExecuteRequest_Command{Sequence: x.last, Operation: op, Quiet: true})
	}
	x.say(&fanoutv1.ExecuteRequest{Request: &fanoutv1.ExecuteRequest_Commands_{Commands: &fanoutv1.ExecuteRequest_Commands{Commands: commands}}})
}

func (x *executor) sync() {
	x.t.Helper()
	x.say(&fanoutv1.ExecuteRequest{Request: &fanoutv1.ExecuteRequest_Sync_{Sync: &fanoutv1.ExecuteRequest_Sync{}}})
}

// Commands of one message are carried out in their order, and nothing is said for the sake of
// quiet ones until it is asked for, but for one that is refused.
func TestExecuteQuiet(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		c, id := w.connect("")
		x := execute(t, w.ctx(), w.conn)
		messages := make(chan error)
		receive := func() { go func() { messages <- x.receive() }() }
		receive()
		x.doAll(opEmit(toID(id), "1"), opJoin(toID(id), "r"), opEmit(toRoom("r"), "2"), opLeave(toID(id), "r"), opEmit(toRoom("r"), "nobody hears it"), opEmit(toID(id), "3"))
		for _, want := range []string{`42["1"]`, `42["2"]`, `42["3"]`} {
			if got := c.Next(); got != want {
				t.Errorf("the browser got %q, want %q", got, want)
			}
		}
		synctest.Wait()
		select {
		case err := <-messages:
			t.Fatalf("something was said before it was asked for: through %d, %v, %v", x.through, x.came, err)
		default:
		}
		x.sync()
		if err := <-messages; err != nil || x.through != 6 || len(x.came) > 0 {
			t.Errorf("asked how far it is: through %d, %v, %v", x.through, x.came, err)
		}
		x.sync() // nothing new
		x.doAll(opEmit(toID(id), "4"), opEmit(nil, ""))
		x.expect(`8: InvalidArgument: command.operation.emit.to: selects nobody: name rooms, ids or users, or say "all": true; command.operation.emit.event: must not be empty`)
		if x.through != 8 {
			t.Errorf("through %d with the refusal", x.through)
		}
		x.doAll(opEmit(toID(id), "5"))
		x.do(opEmit(toID(id), "6"))
		x.expect("10: emit 1")
		x.doAll(opEmit(toID(id), "7"))
		if rest := x.finish(); len(rest) > 0 || x.through != 11 {
			t.Errorf("at the end: through %d, and %v", x.through, rest)
		}
		for n := 4; n <= 7; n++ {
			if got, want := c.Next(), fmt.Sprintf(`42["%d"]`, n); got != want {
				t.Errorf("the browser got %q, want %q", got, want)
			}
		}
		c.Close()
	})
}
