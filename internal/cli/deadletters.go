package cli

import (
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

func (a *app) deadLetters() *cobra.Command {
	c := a.listDeadLetters(a.command, "dead-letters [flags]", "List the events that groups gave up, replay or delete them")
	c.AddCommand(
		a.listDeadLetters(a.sub, "list [flags]", "List the events that groups gave up"),
		a.showDeadLetter(),
		a.changeDeadLetters("replay", "Deliver events that were given up once more",
			"Delivers them to their group once more, oldest first. Each stays listed until it is settled by an ack.",
			func(r *run, group string, ids []string) (change, error) {
				return ask(r, r.admin.ReplayDeadLetters, &fanoutv1.ReplayDeadLettersRequest{Group: group, Ids: ids, All: len(ids) == 0})
			}, "delivered once more", "those that are named are not there, or on their way already, or no consumer asks for them"),
		a.changeDeadLetters("delete", "Forget events that were given up",
			"Forgets them, also those that are on their way again, which may still be delivered.",
			func(r *run, group string, ids []string) (change, error) {
				return ask(r, r.admin.DeleteDeadLetters, &fanoutv1.DeleteDeadLettersRequest{Group: group, Ids: ids, All: len(ids) == 0})
			}, "deleted", "those that are named are not there"),
	)
	return c
}

type newCommand func(use, short, long, example string, args cobra.PositionalArgs, do func(r *run, args []string) error) *cobra.Command

func (a *app) listDeadLetters(command newCommand, use, short string) *cobra.Command {
	req := &fanoutv1.ListDeadLettersRequest{}
	var limit int
	c := command(use, short,
		"Lists the events that the consumers of a group could not handle, oldest first, and why.",
		"  fanoutd dead-letters --group chat\n  fanoutd dead-letters show ID\n  fanoutd dead-letters replay ID",
		cobra.NoArgs, func(r *run, _ []string) error {
			t := r.out.table("ID", "GROUP", "AGE", "WHY", "EVENT", "CONNECTION", "USER", "CONSUMER", "STATE")
			l := limited{most: limit}
			err := r.eachDeadLetter(req, func(d *fanoutv1.DeadLetter) (bool, error) {
				if l.full() {
					return true, nil
				}
				state := ""
				if d.GetReplaying() {
					state = "on its way again"
				}
				return false, t.row(d, d.GetId(), d.GetGroup(), age(d.GetDeadAt()), d.GetReason().String(), eventName(d.GetEvent()),
					d.GetEvent().GetConnectionId(), d.GetEvent().GetUserId(), d.GetConsumerId(), state)
			})
			return ended(r, t, &l, err)
		})
	c.Flags().StringVar(&req.Group, "group", "", "only those of this `GROUP`")
	c.Flags().StringVarP(&req.Namespace, "namespace", "n", "", "only those of this `NAMESPACE`")
	c.Flags().StringVar(&req.ConnectionId, "id", "", "only those of the connection with this `ID`")
	complete(c, "group", a.completeGroups)
	complete(c, "namespace", a.completeNamespaces)
	limitFlag(c, &limit)
	return c
}

// eventName is what an event is, in a word.
func eventName(e *fanoutv1.Event) string {
	if e.GetKind() == fanoutv1.Event_MESSAGE {
		return e.GetEvent()
	}
	return strings.ToLower(e.GetKind().String())
}

func (r *run) eachDeadLetter(req *fanoutv1.ListDeadLettersRequest, show func(*fanoutv1.DeadLetter) (enough bool, err error)) error {
	return pages(r, r.admin.ListDeadLetters, req, func(size int32, token string) { req.PageSize, req.PageToken = size, token },
		func(page *fanoutv1.ListDeadLettersResponse) (bool, error) {
			for _, d := range page.GetDeadLetters() {
				if enough, err := show(d); enough || err != nil {
					return true, err
				}
			}
			return false, nil
		})
}

func (a *app) showDeadLetter() *cobra.Command {
	c := a.sub("show ID [flags]", "Show one event that a group gave up",
		"Shows all of one dead letter.", "  fanoutd dead-letters show ID",
		cobra.ExactArgs(1), func(r *run, words []string) error {
			found, err := r.findDeadLetters(words)
			if err != nil {
				return err
			}
			d := found[0]
			if r.json {
				return r.out.object(d)
			}
			e := d.GetEvent()
			return r.out.fields([][2]string{
				{"id", d.GetId()},
				{"group", d.GetGroup()},
				{"consumer", d.GetConsumerId()},
				{"why", d.GetReason().String()},
				{"given up", moment(d.GetDeadAt()) + ", " + age(d.GetDeadAt()) + " ago"},
				{"received", moment(e.GetReceivedAt())},
				{"namespace", e.GetNamespace()},
				{"connection", e.GetConnectionId()},
				{"user", e.GetUserId()},
				{"event", eventName(e)},
				{"arguments", shownArgs(deadArgs(e))},
				{"left out", size(d.GetOmittedBytes())},
			})
		})
	return c
}

// deadArgs are the arguments of an event in whichever form they came.
func deadArgs(e *fanoutv1.Event) string {
	if e.GetArgsJson() != "" || len(e.GetArgs()) == 0 {
		return e.GetArgsJson()
	}
	all := make([]string, len(e.GetArgs()))
	for i, arg := range e.GetArgs() {
		all[i], _ = toJSON(arg) // a Value that came can be written
	}
	return "[" + strings.Join(all, ",") + "]"
}

// changeDeadLetters returns a command that does something with dead letters that are named, or
// with all of a group. none says why there may have been nothing to be done.
func (a *app) changeDeadLetters(name, short, long string, do func(r *run, group string, ids []string) (change, error), done, none string) *cobra.Command {
	var group string
	var all bool
	c := a.sub(name+" {ID... | --all --group GROUP} [flags]", short, long,
		"  fanoutd dead-letters "+name+" ID\n  fanoutd dead-letters "+name+" --all --group chat",
		cobra.ArbitraryArgs, func(r *run, ids []string) error {
			if all == (len(ids) > 0) || all && group == "" {
				return usagef("name IDs, as fanoutd dead-letters lists them, or --all with --group")
			}
			groups := map[string][]string{group: ids}
			if group == "" {
				found, err := r.findDeadLetters(ids)
				if err != nil {
					return err
				}
				groups = map[string][]string{}
				for _, d := range found {
					groups[d.GetGroup()] = append(groups[d.GetGroup()], d.GetId())
				}
			}
			affected := uint32(0)
			for _, group := range slices.Sorted(maps.Keys(groups)) {
				answer, err := do(r, group, groups[group])
				if err != nil {
					if affected > 0 {
						r.note("%s %s before it failed", plural(affected, "event"), done)
					}
					return err
				}
				r.partial(answer.GetPartial(), answer.GetUnreachable())
				affected += answer.GetAffected()
				if r.json {
					if err := r.out.object(answer); err != nil {
						return err
					}
				}
			}
			if affected == 0 && len(r.unreachable) == 0 {
				return nobodyf("none %s: %s", done, none)
			}
			if r.json {
				return nil
			}
			return r.out.line("%s %s", plural(affected, "event"), done)
		})
	c.Flags().StringVar(&group, "group", "", "those of this `GROUP`")
	c.Flags().BoolVar(&all, "all", false, "all of the group")
	complete(c, "group", a.completeGroups)
	return c
}

// findDeadLetters looks the dead letters with these ids up, all of which have to be there.
func (r *run) findDeadLetters(ids []string) ([]*fanoutv1.DeadLetter, error) {
	missing := map[string]bool{}
	for _, id := range ids {
		missing[id] = true
	}
	var found []*fanoutv1.DeadLetter
	err := r.eachDeadLetter(&fanoutv1.ListDeadLettersRequest{}, func(d *fanoutv1.DeadLetter) (bool, error) {
		if missing[d.GetId()] {
			delete(missing, d.GetId())
			found = append(found, d)
		}
		return len(missing) == 0, nil
	})
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		if missing[id] {
			return nil, nobodyf("there is no dead letter %s", clean(id))
		}
	}
	return found, nil
}
