package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

func (a *app) nodes() *cobra.Command {
	return a.command("nodes [flags]", "List the nodes of the cluster",
		"Lists the node that answers, marked with *, and those that it knows. LOAD is 1 for as much as a node\ncan take; LOST are messages between it and the one that answers that were refused or dropped.",
		"  fanoutd nodes",
		cobra.NoArgs, func(r *run, _ []string) error {
			answer, err := ask(r, r.admin.ListNodes, &fanoutv1.ListNodesRequest{})
			if err != nil {
				return err
			}
			t := r.out.table("NODE", "STATE", "CONNECTIONS", "LOAD", "VERSION", "SINCE", "LOST")
			for _, n := range answer.GetNodes() {
				if err := t.row(n, nodeCells(n)...); err != nil {
					return err
				}
			}
			return t.flush()
		})
}

func nodeCells(n *fanoutv1.ListNodesResponse_Node) []string {
	name, lost := n.GetName(), ""
	if n.GetSelf() {
		name += " *"
	} else if n.GetLink() != nil {
		lost = number(n.GetLink().GetRefused() + n.GetLink().GetDropped())
	}
	return []string{name, strings.ToLower(n.GetState().String()), number(n.GetConnections()), fmt.Sprintf("%.2f", n.GetLoad()), n.GetVersion(), age(n.GetSince()), lost}
}

func (a *app) drain() *cobra.Command {
	var self bool
	var delay, over time.Duration
	c := a.command("drain {NODE | --self} [flags]", "End a node in order: its browsers go elsewhere, then it ends",
		"Ends a node as SIGTERM does, and shows how far it is. For the delay it is not ready and serves as\nbefore; over the time its sessions are closed, so that browsers come back at other nodes; then\nconsumers settle what waits, and the process ends. Ctrl-C does not stop the drain; nothing does.",
		"  fanoutd drain n2\n  fanoutd drain n2 --delay 5s --over 1m",
		cobra.MaximumNArgs(1), func(r *run, words []string) error {
			if self == (len(words) == 1) {
				return usagef("name the node, as fanoutd nodes does, or say --self for the one that answers")
			}
			req := &fanoutv1.DrainRequest{Node: first(words)}
			if r.cmd.Flags().Changed("delay") {
				req.Delay = durationpb.New(delay)
			}
			if r.cmd.Flags().Changed("over") {
				req.Time = durationpb.New(over)
			}
			return r.drained(req)
		})
	c.Flags().BoolVar(&self, "self", false, "the node that answers")
	c.Flags().DurationVar(&delay, "delay", 0, "for how `LONG` it serves as before (default its setting drain-delay)")
	c.Flags().DurationVar(&over, "over", 0, "over how `LONG` its sessions are closed (default its setting drain-time)")
	c.ValidArgsFunction = a.completeNodes
	return c
}

// phases are what a node does while it drains.
var phases = map[fanoutv1.DrainResponse_Phase]string{
	fanoutv1.DrainResponse_NOT_READY: "not ready, and serves as before",
	fanoutv1.DrainResponse_CLOSING:   "its sessions are being closed",
	fanoutv1.DrainResponse_CONSUMERS: "consumers settle what waits",
	fanoutv1.DrainResponse_DONE:      "done",
}

// drained shows a drain until it is done.
func (r *run) drained(req *fanoutv1.DrainRequest) error {
	done, begun := false, false
	err := follow(r, r.admin.Drain, req, func(m *fanoutv1.DrainResponse) error {
		begun = true
		done = m.GetPhase() == fanoutv1.DrainResponse_DONE
		if err := r.out.show(m, "%s  %s  %s: %s, %s open, %s closed", pad(span(m.GetElapsed()), 5), clean(m.GetNode()), phases[m.GetPhase()],
			plural(m.GetConnections(), "connection"), plural(m.GetSessions(), "session"), plural(m.GetClosed(), "session")); err != nil {
			return err
		}
		if done {
			return io.EOF
		}
		return nil
	})
	switch {
	case err == nil && !done && r.ctx.Err() == nil:
		return failedf("the stream ended before the drain was done; it goes on")
	case status.Code(err) == codes.Unavailable && begun && req.GetNode() != "" && r.left(req.GetNode()):
		return r.out.show(&fanoutv1.DrainResponse{Node: req.GetNode(), Phase: fanoutv1.DrainResponse_DONE}, "%s  has left", clean(req.GetNode()))
	}
	return err
}

// left reports whether a node that drained is listed no more, within the timeout: one that
// ends may be gone before it has told so by the stream, and leaves the list at once if it
// ended in order.
func (r *run) left(node string) bool {
	ctx, cancel := context.WithTimeout(r.ctx, r.connect.timeout)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		answer, err := r.admin.ListNodes(ctx, &fanoutv1.ListNodesRequest{})
		if err != nil {
			return false
		}
		if !slices.ContainsFunc(answer.GetNodes(), func(n *fanoutv1.ListNodesResponse_Node) bool { return n.GetName() == node }) {
			return true
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
}

func (a *app) rebalance() *cobra.Command {
	var over time.Duration
	c := a.command("rebalance [flags]", "Spread sessions evenly over the nodes of a cluster",
		"Has nodes with more sessions than the mean close what they have too much, so that browsers come back\nat whichever node the balancer chooses. Ctrl-C stops it.",
		"  fanoutd rebalance --over 5m",
		cobra.NoArgs, func(r *run, _ []string) error {
			req := &fanoutv1.RebalanceRequest{}
			if over != 0 {
				req.Time = durationpb.New(over)
			}
			even := false
			err := follow(r, r.admin.Rebalance, req, func(m *fanoutv1.RebalanceResponse) error {
				even = m.GetEven()
				r.missed(m.GetUnreachable())
				var all []string
				for _, n := range m.GetNodes() {
					all = append(all, fmt.Sprintf("%s %d", clean(n.GetName()), n.GetSessions()))
				}
				return r.out.show(m, "sessions: %s", strings.Join(all, ", "))
			})
			if err == nil && !even && r.ctx.Err() == nil {
				return failedf("the time was not enough: some node still has more than 5 %% above the mean")
			}
			return err
		})
	c.Flags().DurationVar(&over, "over", 0, "over how `LONG` the surplus is closed; 5s to 24h (default 1m)")
	return c
}
