package control

import (
	"context"
	"slices"
	"strings"

	"github.com/fanoutd/fanoutd/internal/sio"
)

// namesListed is how many names are looked at a time for those that a caller may see.
const namesListed = maxPage

// listNames is how a [Hub] lists names: those with this prefix, behind the cursor.
type listNames func(ctx context.Context, prefix, cursor string, limit int) (sio.NamePage, error)

// visible is list for a caller that may name those only that one of patterns matches, as
// may says. A page is full, or the last.
func visible(list listNames, patterns []string, may func(string) bool) listNames {
	return func(ctx context.Context, prefix, cursor string, limit int) (sio.NamePage, error) {
		return listVisible(ctx, list, stretches(patterns, prefix), may, cursor, limit)
	}
}

func listVisible(ctx context.Context, list listNames, in []string, may func(string) bool, cursor string, limit int) (sio.NamePage, error) {
	var page sio.NamePage
	for _, stretch := range in {
		if stretch < cursor && !strings.HasPrefix(cursor, stretch) {
			continue // all of it is before
		}
		for more, at := true, cursor; more; {
			all, err := list(ctx, stretch, at, namesListed)
			if err != nil {
				return sio.NamePage{}, err
			}
			for _, node := range all.Unreachable {
				page.Miss(node)
			}
			for _, n := range all.Names {
				switch {
				case !may(n.Name):
				case len(page.Names) == limit:
					page.Next = page.Names[limit-1].Name
					return page, nil
				default:
					page.Names = append(page.Names, n)
				}
			}
			at, more = all.Next, all.Next != ""
		}
	}
	return page, nil
}

// stretches returns how the names begin that begin with prefix and that one of patterns
// may match, by name. No two of them have a name in common.
func stretches(patterns []string, prefix string) (all []string) {
	var heads []string
	for _, p := range patterns {
		switch head, _, _ := strings.Cut(p, "*"); {
		case strings.HasPrefix(head, prefix):
			heads = append(heads, head)
		case strings.HasPrefix(prefix, head):
			heads = append(heads, prefix)
		}
	}
	slices.Sort(heads)
	for _, head := range heads {
		if len(all) == 0 || !strings.HasPrefix(head, all[len(all)-1]) {
			all = append(all, head)
		}
	}
	return all
}
