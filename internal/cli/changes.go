package cli

import (
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

func (a *app) join() *cobra.Command {
	var f targetFlags
	c := a.command("join TARGET ROOM... [flags]", "Put connections into rooms",
		"Puts every connection of the target into the rooms. One that is there already stays.",
		"  fanoutd join user:42 news sports\n  fanoutd join room:lobby game:7 --except room:spectators",
		cobra.MinimumNArgs(2), func(r *run, words []string) error {
			to, err := f.target(words[0])
			if err != nil {
				return err
			}
			answer, err := ask(r, r.registry.Join, &fanoutv1.JoinRequest{To: to, Rooms: words[1:]})
			if err != nil {
				return err
			}
			return r.changed(answer, to, "joined "+names(words[1:]))
		})
	f.add(a, c, true)
	c.ValidArgsFunction = a.targetThenRooms
	return c
}

func (a *app) leave() *cobra.Command {
	var f targetFlags
	c := a.command("leave TARGET ROOM... [flags]", "Take connections out of rooms",
		"Takes every connection of the target out of the rooms. It is no error if one is not in them.",
		"  fanoutd leave user:42 news\n  fanoutd leave room:game:7 game:7",
		cobra.MinimumNArgs(2), func(r *run, words []string) error {
			to, err := f.target(words[0])
			if err != nil {
				return err
			}
			answer, err := ask(r, r.registry.Leave, &fanoutv1.LeaveRequest{To: to, Rooms: words[1:]})
			if err != nil {
				return err
			}
			return r.changed(answer, to, "left "+names(words[1:]))
		})
	f.add(a, c, true)
	c.ValidArgsFunction = a.targetThenRooms
	return c
}

// ways are the modes of a disconnect as they are typed.
var ways = map[string]fanoutv1.DisconnectRequest_Mode{
	"namespace": fanoutv1.DisconnectRequest_NAMESPACE,
	"transport": fanoutv1.DisconnectRequest_TRANSPORT,
	"session":   fanoutv1.DisconnectRequest_SESSION,
}

func (a *app) disconnect() *cobra.Command {
	var f targetFlags
	var way, reason string
	c := a.command("disconnect TARGET... [flags]", "End connections",
		`Ends every connection of the targets. How its browser takes it:

  --mode namespace   it stays away from this namespace until its page connects again
  --mode session     the same for all namespaces that it uses
  --mode transport   it takes it for a failure of the network and comes back within seconds

To keep somebody out, see fanoutd block.`,
		"  fanoutd disconnect user:42 --reason spam\n  fanoutd disconnect room:lobby room:game --mode transport",
		cobra.MinimumNArgs(1), func(r *run, words []string) error {
			to, err := f.target(words...)
			if err != nil {
				return err
			}
			mode, ok := ways[way]
			if !ok {
				return usagef("--mode %s: there are namespace, session and transport", way)
			}
			answer, err := ask(r, r.registry.Disconnect, &fanoutv1.DisconnectRequest{To: to, Mode: mode, Reason: reason})
			if err != nil {
				return err
			}
			return r.changed(answer, to, "disconnected")
		})
	c.Flags().StringVar(&way, "mode", "namespace", "`HOW`: namespace, session or transport")
	c.Flags().StringVar(&reason, "reason", "", "`WHY`, for the log and for backends; browsers do not hear it")
	complete(c, "mode", words("namespace", "session", "transport"))
	f.add(a, c, false)
	c.ValidArgsFunction = a.completeTargets
	return c
}

// change is the answer to a change of a target's connections.
type change interface {
	proto.Message
	GetAffected() uint32
	GetPartial() bool
	GetUnreachable() []string
}

// changed says how many connections it was.
func (r *run) changed(answer change, to *fanoutv1.Target, what string) error {
	r.partial(answer.GetPartial(), answer.GetUnreachable())
	if answer.GetAffected() > 0 || r.json {
		if err := r.out.show(answer, "%s %s", plural(answer.GetAffected(), "connection"), what); err != nil {
			return err
		}
	}
	if answer.GetAffected() == 0 && !answer.GetPartial() {
		return nobodyf("nobody is there: %s", describeTarget(to))
	}
	return nil
}

// names is a list of names for a sentence.
func names(all []string) string { return cut(clean(strings.Join(all, ", ")), 200) }
