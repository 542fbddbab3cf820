package cli

import (
	"github.com/spf13/cobra"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// argsHelp says in the help of each command that sends an event what its arguments are.
const argsHelp = `
Each ARG that is JSON is sent as what it is: 5 is a number, {"a":1} an object, "5" with its
quotes a string. Any other is a string: text needs no quotes. With --string all are strings.
The word - stands for what comes by standard input: the JSON values in it, or, if it is not
JSON, one string. An ARG that begins with - itself, such as -5, goes behind --.`

// eventFlags are the flags of commands that send an event.
type eventFlags struct {
	targetFlags
	asStrings bool
	volatile  bool
}

func (f *eventFlags) add(a *app, c *cobra.Command) {
	f.targetFlags.add(a, c, true)
	c.Flags().BoolVar(&f.asStrings, "string", false, "send each ARG as a string, also those that are JSON")
	c.Flags().BoolVar(&f.volatile, "volatile", false, "not to those that cannot take it at this moment")
	c.Long += "\n" + argsHelp
	c.ValidArgsFunction = a.firstIsTarget
}

// request returns the event that the words are about: TARGET EVENT [ARG...].
func (f *eventFlags) request(r *run, words []string) (*fanoutv1.EmitRequest, error) {
	to, err := f.target(words[0])
	if err != nil {
		return nil, err
	}
	args, err := eventArgs(words[2:], f.asStrings, r.cmd.InOrStdin())
	if err != nil {
		return nil, err
	}
	return &fanoutv1.EmitRequest{To: to, Event: words[1], ArgsJson: args, Volatile: f.volatile}, nil
}

func (a *app) emit() *cobra.Command {
	var f eventFlags
	var key, conflate string
	var noWait, plain bool
	c := a.command("emit TARGET EVENT [ARG...] [flags]", "Send an event to browsers",
		"Sends the event to every connection of the target, once each, and says to how many. None of it\nmeans that a browser has seen it. If nobody is there the exit code is 3.",
		`  fanoutd emit all news '"the shop is open"'
  fanoutd emit room:news headline '{"id":7}' 5 text
  fanoutd emit user:42 notice "your order is on its way" --to room:staff
  jq -c .price prices.json | fanoutd emit room:prices price -`,
		cobra.MinimumNArgs(2), func(r *run, words []string) error {
			req, err := f.request(r, words)
			if err != nil {
				return err
			}
			req.IdempotencyKey, req.ConflateKey = key, conflate
			if !noWait {
				req.Wait = fanoutv1.EmitRequest_APPLIED
			}
			if plain {
				req.Compress = new(bool)
			}
			return r.emitted(req)
		})
	c.Flags().StringVar(&key, "idempotency-key", "", "a `KEY` by which a repeated command is known, so that it sends nothing twice")
	c.Flags().StringVar(&conflate, "conflate-key", "", "drop what still waits of this `KEY` for a browser: the new event takes its place")
	c.Flags().BoolVar(&noWait, "no-wait", false, "do not wait for the other nodes of a cluster, nor count what they have")
	c.Flags().BoolVar(&plain, "no-compress", false, "do not have transports compress it")
	f.add(a, c)
	return c
}

// emitted sends one event and says what became of it.
func (r *run) emitted(req *fanoutv1.EmitRequest) error {
	answer, err := ask(r, r.emitter.Emit, req)
	if err != nil {
		return err
	}
	r.partial(answer.GetPartial(), answer.GetUnreachable())
	if answer.GetMatched() == 0 && answer.GetForwarded() == 0 && !answer.GetPartial() {
		if r.json {
			if err := r.out.object(answer); err != nil {
				return err
			}
		}
		if req.GetVolatile() {
			return nobodyf("nobody can take it at this moment, or nobody is there: %s", describeTarget(req.GetTo()))
		}
		return nobodyf("nobody is there: %s", describeTarget(req.GetTo()))
	}
	before, beyond := "", ""
	if answer.GetDuplicate() {
		before = "nothing sent now; under this key it was "
	}
	if n := answer.GetForwarded(); n > 0 {
		beyond = ", and to " + plural(n, "other node")
	}
	return r.out.show(answer, "%ssent to %s%s", before, plural(answer.GetMatched(), "connection"), beyond)
}
