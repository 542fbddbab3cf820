package main

import (
	"fmt"
	"log/slog"

	"github.com/fanoutd/fanoutd/internal/cluster/bus"
	"github.com/fanoutd/fanoutd/internal/cluster/nats"
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

// startCluster makes the daemon a node, if there is a bus.
func (d *daemon) startCluster() {
	if d.bus == nil {
		return
	}
	d.log.Info("node", "name", d.config.cluster.node, "cluster", d.config.cluster.name)
}

// closeBus leaves the cluster.
func (d *daemon) closeBus() {
	if d.bus == nil {
		return
	}
	if err := d.bus.Close(); err != nil {
		d.log.Warn("closing the bus", "error", err)
	}
}
