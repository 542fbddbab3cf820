package main

import (
	"fmt"
	"log/slog"

	"github.com/fanoutd/fanoutd/internal/blocks"
	"github.com/fanoutd/fanoutd/internal/control"
	"github.com/fanoutd/fanoutd/internal/datadir"
)

// blocksBucket is what of data-dir the blocks are kept in.
const blocksBucket = "blocks"

// openData opens the directory that data-dir names; nil: it names none. Its errors name
// the setting.
func openData(c *operationConfig) (*datadir.Dir, error) {
	if c.dataDir == "" {
		return nil, nil
	}
	d, err := datadir.Open(c.dataDir)
	if err != nil {
		return nil, fmt.Errorf("cannot use the directory of the setting data-dir: %w", err)
	}
	return d, nil
}

// newKeeper returns who is blocked, as it was kept; data nil: nobody, and nothing is kept.
func newKeeper(node string, data *datadir.Dir, log *slog.Logger) (*blocks.Keeper, error) {
	if data == nil {
		return blocks.NewKeeper(node, nil, log)
	}
	k, err := blocks.NewKeeper(node, data.Bucket(blocksBucket), log)
	if err != nil {
		return nil, fmt.Errorf("cannot use the directory of the setting data-dir: %w", err)
	}
	return k, nil
}

// closeData lets another process have data-dir.
func (d *daemon) closeData() {
	if d.data == nil {
		return
	}
	if err := d.data.Close(); err != nil {
		d.log.Error("closing data-dir", "error", err)
	}
}

// blocksOf is who may not connect, at all nodes.
func (d *daemon) blocksOf() control.Blocks {
	if d.node != nil {
		return d.node
	}
	return control.BlocksOf(d.blocks)
}
