package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fanoutd/fanoutd/internal/blocks"
	"github.com/fanoutd/fanoutd/internal/cluster"
	"github.com/fanoutd/fanoutd/internal/cluster/bus"
	"github.com/fanoutd/fanoutd/internal/cluster/consumers"
	"github.com/fanoutd/fanoutd/internal/cluster/forward"
	"github.com/fanoutd/fanoutd/internal/cluster/link"
	"github.com/fanoutd/fanoutd/internal/cluster/nats"
	"github.com/fanoutd/fanoutd/internal/control"
	"github.com/fanoutd/fanoutd/internal/drain"
	"github.com/fanoutd/fanoutd/internal/ops"
)

// clusterBus is what carries messages to other nodes.
type clusterBus interface {
	bus.Bus
	Stats() bus.Stats
}

// openBus opens the bus that the settings ask for; nil: there is no cluster. Its errors
// name the setting.
func openBus(c *clusterConfig, log *slog.Logger) (clusterBus, error) {
	switch {
	case !c.listen.IsZero():
		return openEmbedded(c, log)
	case len(c.external) > 0:
		b, err := nats.NewExternal(nats.ExternalOptions{
			Node: c.node, Cluster: c.name,
			URLs: c.external, CredentialsFile: c.credentialsFile,
			TLS: c.encrypted(), CAFile: c.tls.CA, CertFile: c.tls.Cert, KeyFile: c.tls.Key,
			Logger: log,
		})
		if err != nil {
			return nil, fmt.Errorf("cannot do as the setting cluster-nats says: %w", err)
		}
		return b, nil
	}
	return nil, nil
}

func openEmbedded(c *clusterConfig, log *slog.Logger) (clusterBus, error) {
	o := nats.Options{
		Node: c.node, Cluster: c.name,
		Listen: c.listen.Name, Advertise: c.advertise, Peers: c.peers,
		Secret: c.secret, Logger: log,
	}
	if c.encrypted() {
		var err error
		if o.TLS, err = nats.NewRouteTLS(c.tls, c.peers, log); err != nil {
			return nil, fmt.Errorf("the files of cluster-tls-cert-file, cluster-tls-key-file and cluster-tls-ca-file: %w", err)
		}
	}
	b, err := nats.NewEmbedded(o)
	if err != nil {
		return nil, fmt.Errorf("cannot listen as the setting cluster-listen says: %w", err)
	}
	log.Info("serving", "who", "nodes", "address", b.Address())
	return b, nil
}

// newNode returns this node, which has met no other yet. tells says what it tells of itself.
func newNode(c *config, l *listeners, tells link.Options, version string, end *drain.Drain, keeper *blocks.Keeper, log *slog.Logger) (*cluster.Node, error) {
	address, err := c.cluster.forwardAddress(l.forNodes().Addr())
	if err != nil {
		return nil, err
	}
	tells.Cluster, tells.Logger = c.cluster.name, log
	return cluster.New(cluster.Options{
		Self:   link.Self{Name: c.cluster.node, Epoch: link.NewEpoch(), Address: address, Version: version},
		Link:   tells,
		Drain:  end,
		Blocks: keeper,
		Logger: log,

		Settings: c.alike(),
	}), nil
}

// alike are the settings that all nodes have to have alike; nodes that meet compare them.
func (c *config) alike() map[string]string {
	return map[string]string{
		"namespaces":      strings.Join(slices.Sorted(slices.Values(c.namespaces.names)), ","),
		"path":            c.browsers.path,
		"recovery-window": c.namespaces.recoveryWindow.String(),
	}
}

// forwardAddress is where other nodes hand over browsers' requests that are this node's:
// where they reach its route, or else this host, at the port of the listener for that.
func (c *clusterConfig) forwardAddress(at net.Addr) (string, error) {
	if c.forward != "" {
		return c.forward, nil
	}
	tcp, ok := at.(*net.TCPAddr)
	if !ok {
		return "", fmt.Errorf("other nodes cannot hand over requests to %s; say by cluster-forward-address where they can", at)
	}
	host := tcp.IP.String()
	if tcp.IP.IsUnspecified() {
		if host = c.reachableHost(); host == "" {
			host = ownAddress()
		}
	}
	return net.JoinHostPort(host, strconv.Itoa(tcp.Port)), nil
}

// reachableHost is the host of cluster-advertise, or of cluster-listen if that is one.
func (c *clusterConfig) reachableHost() string {
	if c.advertise != "" {
		if host, _, err := net.SplitHostPort(c.advertise); err == nil {
			return host
		}
		return c.advertise
	}
	if c.listen.IsZero() {
		return ""
	}
	host, _, _ := net.SplitHostPort(c.listen.Name)
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		return ""
	}
	return host
}

// ownAddress is an address of this host that others may reach, or of loopback if it has
// none.
func ownAddress() string {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return "127.0.0.1"
	}
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
			return n.IP.String()
		}
	}
	return "127.0.0.1"
}

// engine is what serves requests of Socket.IO: this node, or whoever's session it is. In
// a cluster it adds what counts.
func (d *daemon) engine(counts *ops.Sources) http.Handler {
	if d.node == nil {
		return d.sockets
	}
	key, err := forward.KeyOf(d.config.cluster.secret, d.config.cluster.name)
	if err != nil {
		panic(err) // the length that is wanted is a constant
	}
	h := forward.New(d.sockets, forward.Options{
		Epoch: d.node.Self().Epoch, Address: d.nodeAddress, Key: key, Logger: d.log,
		Patience: max(2*(d.config.browsers.pingInterval+d.config.browsers.pingTimeout), forward.DefaultPatience),
	})
	counts.Consumers = d.relay.Stats
	counts.Bus, counts.Nodes, counts.Forward = d.bus.Stats, d.node.Stats, h.Stats
	return h
}

// nodeAddress is where another node takes requests of its browsers.
func (d *daemon) nodeAddress(epoch string) (string, error) {
	switch p, ok := d.node.Peer(epoch); {
	case !ok || p.Address == "":
		return "", forward.ErrUnknown
	case p.State == link.Suspected:
		return "", forward.ErrAway
	default:
		return p.Address, nil
	}
}

// hub is what the services work on: all nodes' connections, or those there are here.
func (d *daemon) hub() control.Hub {
	if d.node != nil {
		return d.node
	}
	return d.server()
}

// keys remembers idempotency keys; nil: there is no cluster.
func (d *daemon) keys() control.Keys {
	if d.node != nil {
		return d.node
	}
	return nil
}

// nodes tells of the other nodes; nil: there is no cluster.
func (d *daemon) nodes() func() []control.Node {
	if d.node == nil {
		return nil
	}
	return func() []control.Node {
		var nodes []control.Node
		for _, p := range d.node.Peers() {
			nodes = append(nodes, control.Node{
				Name: p.Name, Epoch: p.Epoch, Version: p.Version, Suspected: p.State == link.Suspected, Since: p.Since, Connections: p.Connections, Load: p.Load, Activity: (*control.Activity)(p.Activity),
				Sent: p.Sent, Received: p.Received, Repaired: p.Repaired, Refused: p.Refused, Dropped: p.Dropped,
			})
		}
		return nodes
	}
}

// rebalance spreads sessions over the nodes; nil: there is no cluster.
func (d *daemon) rebalance() func(ctx context.Context, over time.Duration, yield func(control.Balance) error) error {
	if d.node == nil {
		return nil
	}
	return func(ctx context.Context, over time.Duration, yield func(control.Balance) error) error {
		return d.node.Rebalance(ctx, over, func(b cluster.Balance) error {
			m := control.Balance{Unreachable: b.Unreachable, Even: b.Even}
			for _, at := range b.Nodes {
				m.Nodes = append(m.Nodes, control.NodeLoad{Name: at.Name, Sessions: at.Sessions, Closing: at.Closing})
			}
			return yield(m)
		})
	}
}

// dispatcher is what consumers are served by: the events of all nodes' browsers, or of
// those here.
func (d *daemon) dispatcher() control.Dispatcher {
	if d.node == nil {
		return control.DispatcherOf(d.consumers)
	}
	d.relay = consumers.New(d.consumers, d.node, consumers.Options{Epoch: d.node.Self().Epoch, Logger: d.log})
	d.node.SetConsumers(d.relay)
	return control.ClusterDispatcherOf(d.relay)
}

// factsTimeout is how long a node that starts waits to learn from the others what groups
// authorise, and for more of who is blocked.
const factsTimeout = 10 * time.Second

// startNode finds the other nodes, if there is a cluster, and learns from them what
// groups authorise and who is blocked: before that nobody may be let in.
func (d *daemon) startNode() error {
	if d.node == nil {
		return nil
	}
	if err := d.node.Start(d.server(), d.bus); err != nil {
		return fmt.Errorf("cannot be a node of the cluster %q: %w; start again", d.config.cluster.name, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), factsTimeout)
	defer cancel()
	if err := d.relay.Synced(ctx); err != nil {
		return errors.New("no other node tells what groups authorise, so nobody could be let in; start again when the nodes reach each other")
	}
	if err := d.node.BlocksSynced(context.Background(), factsTimeout); err != nil {
		return errors.New("no other node tells who is blocked, so nobody could be let in; start again when the nodes reach each other")
	}
	d.log.Info("node", "node", d.config.cluster.node, "cluster", d.config.cluster.name, "epoch", d.node.Self().Epoch, "peers", len(d.node.Peers()))
	return nil
}

// leaveCluster says goodbye to the other nodes.
func (d *daemon) leaveCluster(ctx context.Context) {
	if d.node == nil {
		return
	}
	d.relay.Close()
	d.report("nodes", d.node.Close(ctx))
	if err := d.bus.Close(); err != nil {
		d.log.Warn("closing the bus", "error", err)
	}
}
