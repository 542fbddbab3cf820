package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// The groups of commands in the help of a tree that [Add] has added to.
const (
	groupSend    = "send"
	groupLook    = "look"
	groupChange  = "change"
	groupOperate = "operate"
)

// Add adds the commands to root. Defaults of flags come from environ ("NAME=value").
func Add(root *cobra.Command, environ []string) {
	a := &app{environ: map[string]string{}}
	for _, v := range environ {
		name, value, _ := strings.Cut(v, "=")
		a.environ[name] = value
	}
	root.AddGroup(
		&cobra.Group{ID: groupSend, Title: "Send to browsers, and ask them:"},
		&cobra.Group{ID: groupLook, Title: "See who is there and what happens:"},
		&cobra.Group{ID: groupChange, Title: "Change who is where, and who may come:"},
		&cobra.Group{ID: groupOperate, Title: "Operate consumers and nodes:"},
	)
	root.SetUsageTemplate(usageTemplate)
	for _, c := range []struct {
		group string
		all   []*cobra.Command
	}{
		{groupSend, []*cobra.Command{a.emit(), a.call()}},
		{groupLook, []*cobra.Command{a.connections(), a.rooms(), a.users(), a.namespaces(), a.tail(), a.top()}},
		{groupChange, []*cobra.Command{a.join(), a.leave(), a.disconnect(), a.block(), a.unblock(), a.blocks()}},
		{groupOperate, []*cobra.Command{a.consumers(), a.groups(), a.deadLetters(), a.nodes(), a.drain(), a.rebalance()}},
	} {
		for _, one := range c.all {
			one.GroupID = c.group
			root.AddCommand(one)
		}
	}
	for _, c := range root.Commands() {
		usageErrors(c)
	}
}

// usageErrors has c and what is below it tell of wrong flags and words with the exit code
// for that, and say where the right ones stand.
func usageErrors(c *cobra.Command) {
	if c.DisableFlagParsing {
		return
	}
	c.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		text := err.Error()
		if strings.HasPrefix(text, "unknown shorthand flag: ") { // there is one at most, so that it was meant otherwise
			return usagef("%s: what begins with - is a flag: write -- in front of the first argument that is none, or id: in front of an id", text)
		}
		return usagef("%s; fanoutd help %s lists the flags", text, pathBelowRoot(c))
	})
	if check := c.Args; check != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return usagef("%s: write %s", err, c.UseLine())
			}
			return nil
		}
	}
	for _, below := range c.Commands() {
		usageErrors(below)
	}
}

// pathBelowRoot is the name of c as it is typed behind fanoutd.
func pathBelowRoot(c *cobra.Command) string {
	_, path, _ := strings.Cut(c.CommandPath(), " ")
	return path
}

// usageTemplate is cobra's own but for the flags of all commands, which stand last.
const usageTemplate = `Usage:{{if .Runnable}}
  {{.UseLine}}{{end}}{{if .HasAvailableSubCommands}}
  {{.CommandPath}} COMMAND{{end}}{{if .HasExample}}

Examples:
{{.Example}}{{end}}{{if .HasAvailableSubCommands}}{{$all := .Commands}}{{range $group := .Groups}}

{{.Title}}{{range $all}}{{if and (eq .GroupID $group.ID) .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}{{if not .Groups}}

Commands:{{range $all}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}{{end}}{{if .HasAvailableLocalFlags}}{{with .LocalNonPersistentFlags.FlagUsagesWrapped 90}}{{if .}}

Flags:
{{trimTrailingWhitespaces .}}{{end}}{{end}}{{with .PersistentFlags.FlagUsagesWrapped 90}}{{if .}}

How the daemon is reached, and what is shown:
{{trimTrailingWhitespaces .}}{{end}}{{end}}{{end}}{{if .HasAvailableInheritedFlags}}

How the daemon is reached, and what is shown:
{{.InheritedFlags.FlagUsagesWrapped 90 | trimTrailingWhitespaces}}{{end}}
`

// app is what the commands have in common. One of them runs.
type app struct {
	environ map[string]string
	connect connectFlags
	json    bool
}

// run is one command at work.
type run struct {
	*app
	ctx      context.Context
	cmd      *cobra.Command
	out      *output
	emitter  fanoutv1.EmitterServiceClient
	registry fanoutv1.RegistryServiceClient
	events   fanoutv1.EventServiceClient
	admin    fanoutv1.AdminServiceClient
	conn     *grpc.ClientConn // that these use

	unreachable []string // nodes that were said not to have answered
}

// command returns a command that calls the daemon. Its own flags are still to be added.
func (a *app) command(use, short, long, example string, args cobra.PositionalArgs, do func(r *run, args []string) error) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Long: short + ".\n\n" + long, Example: example, Args: args, DisableFlagsInUseLine: true}
	c.Long = strings.TrimSpace(c.Long)
	a.addShared(c)
	c.RunE = func(c *cobra.Command, args []string) error { return a.do(c, args, do) }
	return c
}

// sub is command for what stands below another, whose shared flags it has.
func (a *app) sub(use, short, long, example string, args cobra.PositionalArgs, do func(r *run, args []string) error) *cobra.Command {
	c := a.command(use, short, long, example, args, do)
	c.ResetFlags()
	return c
}

// addShared adds the flags that all commands have.
func (a *app) addShared(c *cobra.Command) {
	a.connect.add(a, c.PersistentFlags())
	c.PersistentFlags().BoolVar(&a.json, "json", false, "answers as JSON, one object a line, as the API has them over HTTP")
}

// namespaceFlag adds --namespace, which is "/" without it.
func (a *app) namespaceFlag(c *cobra.Command, p *string, usage string) {
	c.Flags().StringVarP(p, "namespace", "n", "/", usage)
	complete(c, "namespace", a.completeNamespaces)
}

// do connects, runs do, and explains what it failed with.
func (a *app) do(c *cobra.Command, args []string, do func(r *run, args []string) error) error {
	r, closeConnection, err := a.open(c)
	if err != nil {
		return a.explain(err)
	}
	defer closeConnection()
	err = do(r, args)
	if r.ctx.Err() != nil && stopped(err) {
		err = nil // Ctrl-C ends what goes on
	}
	if err = a.explain(err); err != nil {
		return err
	}
	if len(r.unreachable) > 0 {
		return failedf("nodes that did not answer, whose part is missing: %s", clean(strings.Join(r.unreachable, ", ")))
	}
	return nil
}

func stopped(err error) bool {
	return err == nil || errors.Is(err, context.Canceled) || status.Code(err) == codes.Canceled
}

// open connects to the daemon, which is not asked anything yet.
func (a *app) open(c *cobra.Command) (*run, func(), error) {
	conn, err := a.connect.dial()
	if err != nil {
		return nil, nil, err
	}
	r := &run{
		app: a, ctx: c.Context(), cmd: c, out: newOutput(c.OutOrStdout(), a.json, a.environ),
		emitter: fanoutv1.NewEmitterServiceClient(conn), registry: fanoutv1.NewRegistryServiceClient(conn),
		events: fanoutv1.NewEventServiceClient(conn), admin: fanoutv1.NewAdminServiceClient(conn), conn: conn,
	}
	return r, func() { _ = conn.Close() }, nil // nothing is open but what is given up
}

// note says something beside the answer.
func (r *run) note(format string, args ...any) {
	fmt.Fprintf(r.cmd.ErrOrStderr(), "fanoutd: "+format+"\n", args...)
}

// missed notes nodes that did not answer: with them the command fails in the end.
func (r *run) missed(nodes []string) {
	for _, node := range nodes {
		if !slices.Contains(r.unreachable, node) {
			r.unreachable = append(r.unreachable, node)
		}
	}
}

// partial notes that a change was not made at every node.
func (r *run) partial(partial bool, nodes []string) {
	r.missed(nodes)
	if partial && len(nodes) == 0 {
		r.missed([]string{"(not known which)"})
	}
}

// ask makes a unary call, within the timeout.
func ask[Q, A any](r *run, rpc func(context.Context, Q, ...grpc.CallOption) (A, error), request Q) (A, error) {
	ctx, cancel := context.WithTimeout(r.ctx, r.connect.timeout)
	defer cancel()
	return rpc(ctx, request)
}

// stream is what a server's stream has.
type stream[A any] interface {
	Recv() (A, error)
	Header() (metadata.MD, error)
}

// follow opens a stream, for which there is the timeout, and hands what comes to each until
// it ends, or each returns an error. io.EOF of each ends it without one.
func follow[Q, A any, S stream[A]](r *run, rpc func(context.Context, Q, ...grpc.CallOption) (S, error), request Q, each func(A) error) error {
	ctx, cancel := context.WithCancelCause(r.ctx)
	defer cancel(nil)
	hurry := time.AfterFunc(r.connect.timeout, func() { cancel(context.DeadlineExceeded) })
	defer hurry.Stop()
	s, err := rpc(ctx, request)
	if err == nil {
		_, err = s.Header()
	}
	hurry.Stop()
	for err == nil {
		var answer A
		if answer, err = s.Recv(); err == nil {
			err = each(answer)
		}
	}
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		return context.DeadlineExceeded
	}
	return err
}
