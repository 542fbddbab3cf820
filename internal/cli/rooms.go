package cli

import (
	"github.com/spf13/cobra"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

func (a *app) rooms() *cobra.Command {
	req := &fanoutv1.ListRoomsRequest{}
	var limit int
	c := a.command("rooms [PREFIX] [flags]", "List the rooms that have members",
		"Lists the rooms by name, those whose name begins with PREFIX. A room is there while it has members.",
		"  fanoutd rooms\n  fanoutd rooms news: --namespace /chat",
		cobra.MaximumNArgs(1), func(r *run, words []string) error {
			req.Prefix = first(words)
			t := r.out.table("ROOM", "CONNECTIONS")
			l := limited{most: limit}
			err := pages(r, r.registry.ListRooms, req, func(size int32, token string) { req.PageSize, req.PageToken = size, token },
				func(page *fanoutv1.ListRoomsResponse) (bool, error) {
					for _, room := range page.GetRooms() {
						if l.full() {
							return true, nil
						}
						if err := t.row(room, room.GetName(), number(room.GetConnections())); err != nil {
							return true, err
						}
					}
					return false, nil
				})
			return ended(r, t, &l, err)
		})
	a.namespaceFlag(c, &req.Namespace, "the `NAMESPACE`")
	c.Flags().BoolVar(&req.IncludeIds, "ids", false, "list the rooms of single connections' ids too")
	limitFlag(c, &limit)
	return c
}

func (a *app) users() *cobra.Command {
	req := &fanoutv1.ListUsersRequest{}
	var limit int
	c := a.command("users [PREFIX] [flags]", "List the users who are connected",
		"Lists the users by name, those whose name begins with PREFIX. Connections without a user are in none.",
		"  fanoutd users\n  fanoutd users admin",
		cobra.MaximumNArgs(1), func(r *run, words []string) error {
			req.Prefix = first(words)
			t := r.out.table("USER", "CONNECTIONS")
			l := limited{most: limit}
			err := pages(r, r.registry.ListUsers, req, func(size int32, token string) { req.PageSize, req.PageToken = size, token },
				func(page *fanoutv1.ListUsersResponse) (bool, error) {
					for _, user := range page.GetUsers() {
						if l.full() {
							return true, nil
						}
						if err := t.row(user, user.GetUserId(), number(user.GetConnections())); err != nil {
							return true, err
						}
					}
					return false, nil
				})
			return ended(r, t, &l, err)
		})
	a.namespaceFlag(c, &req.Namespace, "the `NAMESPACE`")
	limitFlag(c, &limit)
	return c
}

func (a *app) namespaces() *cobra.Command {
	req := &fanoutv1.ListNamespacesRequest{}
	var limit int
	c := a.command("namespaces [PREFIX] [flags]", "List the namespaces",
		"Lists the namespaces that the daemon serves, those without connections included.",
		"  fanoutd namespaces",
		cobra.MaximumNArgs(1), func(r *run, words []string) error {
			req.Prefix = first(words)
			t := r.out.table("NAMESPACE", "CONNECTIONS", "ROOMS")
			l := limited{most: limit}
			err := pages(r, r.registry.ListNamespaces, req, func(size int32, token string) { req.PageSize, req.PageToken = size, token },
				func(page *fanoutv1.ListNamespacesResponse) (bool, error) {
					for _, n := range page.GetNamespaces() {
						if l.full() {
							return true, nil
						}
						if err := t.row(n, n.GetName(), number(n.GetConnections()), number(n.GetRooms())); err != nil {
							return true, err
						}
					}
					return false, nil
				})
			return ended(r, t, &l, err)
		})
	limitFlag(c, &limit)
	return c
}

// ended writes what is left of a list, if nothing went wrong with it.
func ended(r *run, t *table, l *limited, err error) error {
	if err != nil {
		return err
	}
	if err := t.flush(); err != nil {
		return err
	}
	l.say(r)
	return nil
}

func first(words []string) string {
	if len(words) == 0 {
		return ""
	}
	return words[0]
}
