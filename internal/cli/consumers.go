package cli

import (
	"strings"

	"github.com/spf13/cobra"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

func (a *app) consumers() *cobra.Command {
	var group string
	var limit int
	c := a.command("consumers [flags]", "List the consumers of backends",
		"Lists who receives what browsers do: each consumer of each group. IN FLIGHT is what it was sent and\nhas not settled; WAITING what waits for it. fanoutd groups shows the groups.",
		"  fanoutd consumers\n  fanoutd consumers --group chat\n  fanoutd consumers end chat chat-1",
		cobra.NoArgs, func(r *run, _ []string) error {
			t := r.out.table("GROUP", "CONSUMER", "NODE", "CONNECTIONS", "IN FLIGHT", "WAITING", "ACTIVE", "STATE")
			l := limited{most: limit}
			err := r.eachGroup(group, func(g *fanoutv1.ListConsumersResponse_Group, _ bool) (bool, error) {
				for _, c := range g.GetConsumers() {
					if l.full() {
						return true, nil
					}
					one := &fanoutv1.ListConsumersResponse_Group{Name: g.GetName(), Consumers: []*fanoutv1.ListConsumersResponse_Consumer{c}}
					if err := t.row(one, g.GetName(), c.GetConsumerId(), c.GetNode(), number(c.GetConnections()), number(c.GetInFlight())+"/"+number(c.GetMaxInFlight()),
						size(c.GetQueuedBytes()), age(c.GetLastActive()), consumerState(c)); err != nil {
						return true, err
					}
				}
				return false, nil
			})
			return ended(r, t, &l, err)
		})
	c.Flags().StringVar(&group, "group", "", "only those of this `GROUP`")
	complete(c, "group", a.completeGroups)
	limitFlag(c, &limit)
	c.AddCommand(a.endConsumer())
	return c
}

// consumerState is what is unusual about a consumer.
func consumerState(c *fanoutv1.ListConsumersResponse_Consumer) string {
	var all []string
	if c.GetLeaving() {
		all = append(all, "leaving")
	}
	if c.GetMaxInFlight() > 0 && c.GetInFlight() >= c.GetMaxInFlight() {
		all = append(all, "full")
	}
	if c.GetAuthorize() {
		all = append(all, "authorises")
	}
	return strings.Join(all, ", ")
}

func (a *app) endConsumer() *cobra.Command {
	c := a.sub("end GROUP CONSUMER [flags]", "End the stream of one consumer",
		"Ends the stream of one consumer, which may come back. What was in flight to it goes to others.",
		"  fanoutd consumers end chat chat-1",
		cobra.ExactArgs(2), func(r *run, words []string) error {
			answer, err := ask(r, r.admin.DisconnectConsumer, &fanoutv1.DisconnectConsumerRequest{Group: words[0], ConsumerId: words[1]})
			if err != nil {
				return err
			}
			r.partial(answer.GetPartial(), answer.GetUnreachable())
			return r.out.show(answer, "the stream of %s in %s has ended", clean(words[1]), clean(words[0]))
		})
	c.ValidArgsFunction = a.firstIsGroup
	return c
}

func (a *app) groups() *cobra.Command {
	var limit int
	c := a.command("groups [flags]", "List the groups of consumers, and what waits for them",
		"Lists the groups: WAITING is what they have not settled, LAG how long the oldest of it has been there,\nDEAD what they gave up, see fanoutd dead-letters. The counts are since the group was created.",
		"  fanoutd groups\n  fanoutd groups delete old-app",
		cobra.NoArgs, func(r *run, _ []string) error {
			t := r.out.table("GROUP", "CONSUMERS", "WAITING", "LAG", "IN FLIGHT", "DELIVERED", "AGAIN", "LOST", "DEAD", "WARNING")
			t.full = true
			l := limited{most: limit}
			var last *fanoutv1.ListConsumersResponse_Group
			consumers := 0
			show := func() error {
				if last == nil {
					return nil
				}
				return t.row(last, last.GetName(), number(consumers), number(last.GetPendingEvents()), span(last.GetOldestPendingAge()), number(last.GetInFlight()),
					number(last.GetDelivered()), number(last.GetRedelivered()), number(last.GetDropped()+last.GetLostEvents()), number(last.GetDeadLetters()), groupWarning(last, consumers))
			}
			err := r.eachGroup("", func(g *fanoutv1.ListConsumersResponse_Group, goesOn bool) (bool, error) {
				if goesOn {
					consumers += len(g.GetConsumers())
					last.Consumers = append(last.Consumers, g.GetConsumers()...)
					return false, nil
				}
				if err := show(); err != nil {
					return true, err
				}
				if last = nil; l.full() {
					return true, nil
				}
				last, consumers = g, len(g.GetConsumers())
				return false, nil
			})
			if err == nil {
				err = show()
			}
			return ended(r, t, &l, err)
		})
	limitFlag(c, &limit)
	c.AddCommand(a.deleteGroup())
	return c
}

// groupWarning is what the daemon says about a group, or else what can be seen.
func groupWarning(g *fanoutv1.ListConsumersResponse_Group, consumers int) string {
	switch {
	case g.GetWarning() != "":
		return g.GetWarning()
	case consumers == 0 && g.GetPendingEvents() > 0:
		return "events wait, and no consumer is there"
	}
	return ""
}

// eachGroup hands every group to show, page by page. One that goes on on the next page comes
// again, with the rest of its consumers.
func (r *run) eachGroup(group string, show func(g *fanoutv1.ListConsumersResponse_Group, goesOn bool) (enough bool, err error)) error {
	req := &fanoutv1.ListConsumersRequest{Group: group}
	last := ""
	return pages(r, r.admin.ListConsumers, req, func(size int32, token string) { req.PageSize, req.PageToken = size, token },
		func(page *fanoutv1.ListConsumersResponse) (bool, error) {
			for _, g := range page.GetGroups() {
				enough, err := show(g, g.GetName() == last)
				if enough || err != nil {
					return true, err
				}
				last = g.GetName()
			}
			return false, nil
		})
}

func (a *app) deleteGroup() *cobra.Command {
	c := a.sub("delete GROUP [flags]", "Delete a group of consumers for good",
		"Ends the streams of its consumers, which are told not to come back, and forgets what waits for it and\nits dead letters. What it authorised it authorises no longer.",
		"  fanoutd groups delete old-app",
		cobra.ExactArgs(1), func(r *run, words []string) error {
			answer, err := ask(r, r.admin.DeleteGroup, &fanoutv1.DeleteGroupRequest{Group: words[0]})
			if err != nil {
				return err
			}
			r.partial(answer.GetPartial(), answer.GetUnreachable())
			return r.out.show(answer, "the group %s is deleted; it had %s", clean(words[0]), plural(answer.GetAffected(), "consumer"))
		})
	c.ValidArgsFunction = a.firstIsGroup
	return c
}
