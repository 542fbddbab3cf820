package cli

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// targetHelp says in the help of each command that has targets what they are.
const targetHelp = `
A TARGET says which connections are meant:

  all                    every connection of the namespace
  room:NAME              the members of a room
  user:NAME              all connections of a user
  id:ID                  one connection, by what its browser sees as socket.id
  owner:GROUP/CONSUMER   those whose events a consumer gets; it narrows what the
                         others say, and alone it narrows all`

// targetPrefixes begin the targets that name something.
var targetPrefixes = []string{"room:", "user:", "id:", "owner:"}

// targetFlags are the flags of commands that have targets.
type targetFlags struct {
	namespace string
	more      []string
	except    []string
}

// add adds the flags. Where targets are all that a command has behind it, several stand
// there, and --to is not needed.
func (f *targetFlags) add(a *app, c *cobra.Command, withTo bool) {
	a.namespaceFlag(c, &f.namespace, "the `NAMESPACE`, or a pattern such as /tenant-*")
	c.Flags().StringArrayVar(&f.except, "except", nil, "leave out the members of a room, `room:NAME`, or one connection, id:ID; may be repeated")
	complete(c, "except", a.completeTargets)
	if withTo {
		c.Flags().StringArrayVar(&f.more, "to", nil, "another `TARGET`: whoever one of them means is meant, once; may be repeated")
		complete(c, "to", a.completeTargets)
	}
	c.Long += "\n" + targetHelp
}

// target returns what these words and the flags mean together.
func (f *targetFlags) target(words ...string) (*fanoutv1.Target, error) {
	to := &fanoutv1.Target{Namespace: f.namespace}
	for _, word := range append(words, f.more...) {
		if err := addTarget(to, word); err != nil {
			return nil, err
		}
	}
	if to.Owner != nil && len(to.Rooms)+len(to.Users)+len(to.Ids) == 0 {
		to.All = true
	}
	for _, word := range f.except {
		kind, name, _ := strings.Cut(word, ":")
		if name == "" || kind != "room" && kind != "id" {
			return nil, usagef("--except %s: write room:NAME or id:ID", word)
		}
		to.Except = append(to.Except, name)
	}
	return to, nil
}

// isTarget reports whether word is meant as a target.
func isTarget(word string) bool {
	kind, _, named := strings.Cut(word, ":")
	return word == "all" || named && slices.Contains(targetPrefixes, kind+":")
}

// addTarget adds what word names.
func addTarget(to *fanoutv1.Target, word string) error {
	if word == "all" {
		to.All = true
		return nil
	}
	kind, name, named := strings.Cut(word, ":")
	if !isTarget(word) {
		return usagef("%q is no target: there are all, room:NAME, user:NAME, id:ID and owner:GROUP/CONSUMER", word)
	}
	if named && name == "" {
		return usagef("%q names nobody: a name follows the colon", word)
	}
	switch kind {
	case "room":
		to.Rooms = append(to.Rooms, name)
	case "user":
		to.Users = append(to.Users, name)
	case "id":
		to.Ids = append(to.Ids, name)
	case "owner":
		group, consumer, ok := strings.Cut(name, "/")
		if !ok || group == "" || consumer == "" {
			return usagef("%q: an owner is written owner:GROUP/CONSUMER", word)
		}
		if to.Owner != nil {
			return usagef("%q: there is one owner at most", word)
		}
		to.Owner = &fanoutv1.Target_Owner{Group: group, ConsumerId: consumer}
	}
	return nil
}

// describeTarget is a target as it was typed, for sentences.
func describeTarget(to *fanoutv1.Target) string {
	var words []string
	add := func(prefix string, names []string) {
		for _, name := range names {
			words = append(words, prefix+clean(name))
		}
	}
	if to.All {
		words = append(words, "all")
	}
	add("room:", to.Rooms)
	add("user:", to.Users)
	add("id:", to.Ids)
	text := cut(strings.Join(words, " "), 200)
	if len(to.Except) > 0 {
		text += " without " + cut(clean(strings.Join(to.Except, " ")), 200)
	}
	if to.Owner != nil {
		text += " owned by " + clean(to.Owner.Group+"/"+to.Owner.ConsumerId)
	}
	namespace := to.Namespace
	if namespace == "" {
		namespace = "/"
	}
	return text + " in " + clean(namespace)
}
