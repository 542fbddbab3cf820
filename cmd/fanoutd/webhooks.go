package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/fanoutd/fanoutd/internal/webhook"
)

// parseWebhookSecret returns a secret in its base64, with or without the prefix that
// Standard Webhooks has, and how many bytes it has.
func parseWebhookSecret(text string) (w *standardwebhooks.Webhook, n int, err error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(text, "whsec_"))
	if err != nil {
		return nil, 0, err
	}
	w, err = standardwebhooks.NewWebhookRaw(key)
	return w, len(key), err
}

// newWebhooks returns what brings events to HTTP endpoints, without any yet.
func (d *daemon) newWebhooks() *webhook.Server {
	return webhook.New(webhook.Options{Node: d.config.cluster.node, Events: d.services.Events, Operations: d.services.Emitter, Tracer: d.tracer(), Logger: d.log})
}

// webhookSettings are the latest settings of webhooks, whose files are looked at.
type webhookSettings struct {
	mu     sync.Mutex // held until the endpoints are set, so that older ones are never last
	latest *webhookConfig
}

// authorizeWebhooks has groups decide who may connect from its return on, where an endpoint
// of c does: nobody gets in unasked until that has joined its group. Error: there are too
// many groups.
func (d *daemon) authorizeWebhooks(c *webhookConfig) error {
	for _, e := range c.endpoints {
		if !e.Authorize || d.consumers.Authorizes(e.Group, e.Namespaces) {
			continue
		}
		if err := d.consumers.Authorize(e.Group, e.Namespaces); err != nil {
			return fmt.Errorf("the webhook of the group %q cannot decide who may connect: %w", e.Group, err)
		}
	}
	return nil
}

// replaceWebhooks has events go where next says from now on.
func (d *daemon) replaceWebhooks(next *config) error {
	if err := d.authorizeWebhooks(&next.webhooks); err != nil {
		return err
	}
	d.setWebhooks(&next.webhooks)
	return nil
}

func (d *daemon) setWebhooks(c *webhookConfig) {
	w := &d.webhookSettings
	w.mu.Lock()
	defer w.mu.Unlock()
	w.latest = c
	d.webhooks.Set(c.endpoints)
}

// readWebhooks has webhooks be as the files say that the settings name.
func (d *daemon) readWebhooks() error {
	w := &d.webhookSettings
	w.mu.Lock()
	defer w.mu.Unlock()
	endpoints, err := w.latest.read()
	if err == nil {
		d.webhooks.Set(endpoints)
	}
	return err
}

// keepWebhooks has webhooks be as the files say that they name, until ctx ends.
func (d *daemon) keepWebhooks(ctx context.Context) {
	ticker := time.NewTicker(lookInterval)
	defer ticker.Stop()
	failure := ""
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		err := d.readWebhooks()
		if err == nil {
			failure = ""
			continue
		}
		if failure != err.Error() {
			d.log.Error("the webhooks stay as they are: a file of them is no good", "error", err)
		}
		failure = err.Error()
	}
}
