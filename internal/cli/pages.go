package cli

import (
	"context"
	"errors"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"google.golang.org/grpc"
)

// maxPage is the largest page that the daemon gives.
const maxPage = 1000

// limitFlag adds --limit, which bounds a list.
func limitFlag(c *cobra.Command, limit *int) {
	*limit = 100
	c.Flags().Var((*natural)(limit), "limit", "show so `MANY` at most; 0 for all there are")
}

// natural is a number of a flag that may be 0, and not less.
type natural int

var _ pflag.Value = (*natural)(nil)

func (n *natural) Set(text string) error {
	number, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return errors.New("write a number, 0 or more")
	}
	*n = natural(number)
	return nil
}

func (n *natural) String() string { return strconv.Itoa(int(*n)) }

func (n *natural) Type() string { return "number" }

// paged is the answer to a request for a page.
type paged interface {
	GetNextPageToken() string
	GetUnreachable() []string
}

// pages asks for page after page, until there are no more or show says that it has enough.
// prepare puts the size and the token of a page into the request.
func pages[Q any, A paged](r *run, rpc func(context.Context, Q, ...grpc.CallOption) (A, error), request Q, prepare func(size int32, token string), show func(A) (enough bool, err error)) error {
	for token := ""; ; {
		prepare(maxPage, token)
		answer, err := ask(r, rpc, request)
		if err != nil {
			return err
		}
		r.missed(answer.GetUnreachable())
		enough, err := show(answer)
		if err != nil || enough || answer.GetNextPageToken() == "" {
			return err
		}
		token = answer.GetNextPageToken()
	}
}

// limited counts what a list shows.
type limited struct {
	most  int // 0: no bound
	shown int
	cut   bool
}

// full reports whether there is room for no more, and notes that there would be more.
func (l *limited) full() bool {
	if l.most > 0 && l.shown >= l.most {
		l.cut = true
		return true
	}
	l.shown++
	return false
}

// say tells people that there are more.
func (l *limited) say(r *run) {
	if l.cut {
		r.note("there are more than these %d: --limit shows more, and --limit 0 all", l.most)
	}
}
