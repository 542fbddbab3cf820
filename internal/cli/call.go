package cli

import (
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

func (a *app) call() *cobra.Command {
	var f eventFlags
	var most uint32
	c := a.command("call TARGET EVENT [ARG...] [flags]", "Send an event to browsers, and show their answers",
		"Sends the event, and shows what each browser hands to the callback of its handler, as it comes, then\nwho did not answer and why. It waits for --timeout. The exit code is 1 if not all have answered, and\n3 if nobody is there.",
		`  fanoutd call user:42 "which version"
  fanoutd call room:lobby vote '["red","blue"]' --timeout 30s`,
		cobra.MinimumNArgs(2), func(r *run, words []string) error {
			req, err := f.request(r, words)
			if err != nil {
				return err
			}
			return r.called(&fanoutv1.EmitWithAckRequest{Emit: req, Timeout: durationpb.New(r.connect.timeout), MaxAcks: most})
		})
	c.Flags().Uint32Var(&most, "first", 0, "be content with so `MANY` answers")
	f.add(a, c)
	return c
}

// called asks browsers, and shows their answers.
func (r *run) called(req *fanoutv1.EmitWithAckRequest) error {
	var summary *fanoutv1.EmitWithAckResponse_Summary
	err := follow(r, r.emitter.EmitWithAck, req, func(answer *fanoutv1.EmitWithAckResponse) error {
		if answer.GetSummary() != nil {
			summary = answer.GetSummary()
		}
		if answer.GetHeartbeat() != nil {
			return nil
		}
		if r.json {
			return r.out.object(answer)
		}
		switch {
		case answer.GetAck() != nil:
			ack := answer.GetAck()
			binary := ""
			if n := len(ack.GetAttachments()); n > 0 {
				binary = " with " + plural(n, "attachment")
			}
			return r.out.line("%s  %s%s", clean(ack.GetConnectionId()), shownArgs(ack.GetArgsJson()), binary)
		case answer.GetFailed() != nil:
			why := "no answer in time"
			if answer.GetFailed().GetReason() == fanoutv1.EmitWithAckResponse_Failed_DISCONNECTED {
				why = "disconnected before it answered"
			}
			return r.out.line("%s  (%s)", clean(answer.GetFailed().GetConnectionId()), why)
		}
		return nil
	})
	if err != nil {
		return err
	}
	r.missed(summary.GetUnreachable())
	switch enough := req.GetMaxAcks(); {
	case summary.GetExpected() == 0:
		return nobodyf("nobody is there: %s", describeTarget(req.GetEmit().GetTo()))
	case summary.GetAcked() < summary.GetExpected() && (enough == 0 || summary.GetAcked() < enough):
		return failedf("%d of %s answered: %d not in time, %d disconnected", summary.GetAcked(), plural(summary.GetExpected(), "connection"), summary.GetTimedOut(), summary.GetDisconnected())
	}
	if r.json {
		return nil
	}
	return r.out.line("%d of %s answered", summary.GetAcked(), plural(summary.GetExpected(), "connection"))
}

// maxShownArgs bounds the arguments that are shown to people, in cells of a terminal.
const maxShownArgs = 1000

// shownArgs is a JSON array of arguments, for people.
func shownArgs(argsJSON string) string {
	if argsJSON == "" {
		argsJSON = "[]"
	}
	return cut(cleanJSON(argsJSON), maxShownArgs)
}
