package main

import (
	"context"
	"encoding/base64"
	"strings"
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
	return webhook.New(webhook.Options{Node: d.config.cluster.node, Events: d.services.Events, Operations: d.services.Emitter, Logger: d.log})
}

// replaceWebhooks has events go where next says from now on.
func (d *daemon) replaceWebhooks(next *config) error {
	d.setWebhooks(&next.webhooks)
	return nil
}

func (d *daemon) setWebhooks(c *webhookConfig) {
	d.webhookFiles.Store(c)
	d.webhooks.Set(c.endpoints)
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
		endpoints, err := d.webhookFiles.Load().read()
		if err == nil {
			failure = ""
			d.webhooks.Set(endpoints)
			continue
		}
		if failure != err.Error() {
			d.log.Error("the webhooks stay as they are: a file of them is no good", "error", err)
		}
		failure = err.Error()
	}
}
