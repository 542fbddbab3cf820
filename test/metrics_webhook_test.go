package test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// hookedGroup is the group of the webhook, which is told of all in one namespace.
const (
	hookedGroup     = "hooked"
	hookedNamespace = "/hooked"
)

// serveCountingWebhook serves a webhook that counts its requests, and returns where. It emits
// to who said "operate", has an operation fail for "misoperate", and answers who wants it.
func serveCountingWebhook(t *testing.T, c *tally) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		c.count("fanoutd_group_delivered_total", "group", hookedGroup)
		c.count("fanoutd_webhook_requests_total", "group", hookedGroup, "outcome", "handled")
		c.count("fanoutd_webhook_request_duration_seconds_count", "group", hookedGroup)
		operation := `{"emit":{"to":{"namespace":"/hooked","all":true},"event":"operated"}}`
		switch event := string(body); {
		case strings.Contains(event, `"misoperate"`):
			operation = `{"emit":{"event":"to nobody at all"}}`
			c.count("fanoutd_webhook_operations_failed_total", "group", hookedGroup)
		case strings.Contains(event, `"operate"`):
			c.count("fanoutd_emits_total")
		default:
			return
		}
		c.count("fanoutd_webhook_operations_total", "group", hookedGroup)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"operations":[%s],"reply":{"args":["done"]}}`, operation)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// hooked has a browser heard by the webhook.
func (m *metricsTest) hooked() {
	c := m.overWebSocket().enter(hookedNamespace)
	c.emit(hookedNamespace, "talk", false)
	c.emit(hookedNamespace, "operate", true)
	c.emit(hookedNamespace, "misoperate", true)
	m.until("it is answered", func() bool { events, acks := c.heard(); return events == 1 && acks == 2 })
	c.close()
}
