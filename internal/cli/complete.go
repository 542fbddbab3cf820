package cli

import (
	"context"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// A shell that completes a word waits for it: what the daemon has not answered by then is
// left out. So are more than fit a screen.
const (
	completionTimeout = time.Second
	maxCompletions    = 100
)

// complete has the shell complete the values of a flag.
func complete(c *cobra.Command, flag string, f cobra.CompletionFunc) {
	if err := c.RegisterFlagCompletionFunc(flag, f); err != nil {
		panic(err) // the flag is declared a line above
	}
}

// words completes one of these.
func words(all ...string) cobra.CompletionFunc {
	return cobra.FixedCompletions(all, cobra.ShellCompDirectiveNoFileComp)
}

// firstIsTarget completes the first word as a target.
func (a *app) firstIsTarget(c *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.completeTargets(c, args, begun)
}

// targetThenRooms completes the first word as a target and others as rooms.
func (a *app) targetThenRooms(c *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return a.completeTargets(c, args, begun)
	}
	return a.someOf(c, "room:", begun), cobra.ShellCompDirectiveNoFileComp
}

// completeTargets completes the prefixes of targets, and behind them names that the daemon
// knows.
func (a *app) completeTargets(c *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	kind, name, named := strings.Cut(begun, ":")
	if !named {
		var all []string
		for _, word := range append([]string{"all"}, targetPrefixes...) {
			if strings.HasPrefix(word, begun) {
				all = append(all, word)
			}
		}
		return all, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
	var all []string
	for _, known := range a.someOf(c, kind+":", name) {
		all = append(all, kind+":"+known)
	}
	return all, cobra.ShellCompDirectiveNoFileComp
}

// someOf asks the daemon for names that begin so: of rooms, users, connections or
// consumers. Without an answer there are none.
func (a *app) someOf(c *cobra.Command, kind, begun string) []string {
	var all []string
	a.quickly(c, func(ctx context.Context, r *run) {
		namespace, _ := c.Flags().GetString("namespace") // not every command has one
		switch kind {
		case "room:":
			page, _ := r.registry.ListRooms(ctx, &fanoutv1.ListRoomsRequest{Namespace: namespace, Prefix: begun, PageSize: maxCompletions})
			for _, room := range page.GetRooms() {
				all = append(all, room.GetName())
			}
		case "user:":
			page, _ := r.registry.ListUsers(ctx, &fanoutv1.ListUsersRequest{Namespace: namespace, Prefix: begun, PageSize: maxCompletions})
			for _, user := range page.GetUsers() {
				all = append(all, user.GetUserId())
			}
		case "id:":
			page, _ := r.registry.ListRooms(ctx, &fanoutv1.ListRoomsRequest{Namespace: namespace, Prefix: begun, PageSize: maxCompletions, IncludeIds: true})
			for _, room := range page.GetRooms() {
				all = append(all, room.GetName())
			}
		case "owner:":
			page, _ := r.admin.ListConsumers(ctx, &fanoutv1.ListConsumersRequest{PageSize: maxCompletions})
			for _, group := range page.GetGroups() {
				for _, consumer := range group.GetConsumers() {
					all = append(all, group.GetName()+"/"+consumer.GetConsumerId())
				}
			}
		}
	})
	return harmless(all, begun)
}

// completeNamespaces completes namespaces that the daemon serves.
func (a *app) completeNamespaces(c *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	var all []string
	a.quickly(c, func(ctx context.Context, r *run) {
		page, _ := r.registry.ListNamespaces(ctx, &fanoutv1.ListNamespacesRequest{PageSize: maxCompletions})
		for _, n := range page.GetNamespaces() {
			all = append(all, n.GetName())
		}
	})
	return harmless(all, begun), cobra.ShellCompDirectiveNoFileComp
}

// completeGroups completes groups of consumers.
func (a *app) completeGroups(c *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	var all []string
	a.quickly(c, func(ctx context.Context, r *run) {
		page, _ := r.admin.ListConsumers(ctx, &fanoutv1.ListConsumersRequest{PageSize: maxCompletions})
		for _, group := range page.GetGroups() {
			all = append(all, group.GetName())
		}
	})
	return harmless(all, begun), cobra.ShellCompDirectiveNoFileComp
}

// firstIsGroup completes the first word as a group, and the second as one of its consumers.
func (a *app) firstIsGroup(c *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	switch {
	case len(args) == 0:
		return a.completeGroups(c, args, begun)
	case len(args) > 1 || c.Name() != "end":
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var all []string
	for _, owner := range a.someOf(c, "owner:", args[0]+"/"+begun) {
		all = append(all, strings.TrimPrefix(owner, args[0]+"/"))
	}
	return all, cobra.ShellCompDirectiveNoFileComp
}

// completeNodes completes nodes of the cluster.
func (a *app) completeNodes(c *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	var all []string
	if len(args) == 0 {
		a.quickly(c, func(ctx context.Context, r *run) {
			answer, _ := r.admin.ListNodes(ctx, &fanoutv1.ListNodesRequest{})
			for _, n := range answer.GetNodes() {
				all = append(all, n.GetName())
			}
		})
	}
	return harmless(all, begun), cobra.ShellCompDirectiveNoFileComp
}

// completeBlockable completes whom block and unblock are about.
func (a *app) completeBlockable(c *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	if strings.HasPrefix(begun, "user:") {
		return a.completeTargets(c, args, begun)
	}
	return harmless([]string{"user:", "address:"}, begun), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// quickly has ask ask the daemon something that may fail.
func (a *app) quickly(c *cobra.Command, ask func(ctx context.Context, r *run)) {
	r, closeConnection, err := a.open(c)
	if err != nil {
		return
	}
	defer closeConnection()
	ctx, cancel := context.WithTimeout(context.Background(), completionTimeout)
	defer cancel()
	ask(ctx, r)
}

// harmless leaves out names that begin otherwise, and those with a character that means
// something to a shell: it writes completions into the command line as they are, and
// browsers choose names.
func harmless(all []string, begun string) []string {
	var kept []string
	for _, name := range all {
		if strings.HasPrefix(name, begun) && !strings.ContainsFunc(name, special) {
			kept = append(kept, name)
		}
	}
	return kept
}

func special(r rune) bool {
	return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("-_./:@+,%", r)
}
