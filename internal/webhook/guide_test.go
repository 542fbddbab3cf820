package webhook

import (
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
)

// The requests and the answer that docs/webhooks.md shows are such ones: what comes has the
// headers and the fields, and the answer does what it says.
func TestGuide(t *testing.T) {
	guide, err := os.ReadFile("../../docs/webhooks.md")
	if err != nil {
		t.Fatal(err)
	}
	part := func(begin, end string) string {
		_, rest, begins := strings.Cut(string(guide), begin)
		text, _, ends := strings.Cut(rest, end)
		if !begins || !ends {
			t.Fatalf("the guide has no part from %q to %q", begin, end)
		}
		return text
	}
	headers, message, _ := strings.Cut(part("POST /events HTTP/1.1\n", "```"), "\n\n")
	connecting := part("```\n{\"deliveryId\":\"3k8…x.1\",", "```")
	answer := part("\n    {\"operations\":", "\n\n")

	reply := func(w http.ResponseWriter, e *fanoutv1.Event) {
		switch e.GetKind() {
		case fanoutv1.Event_CONNECTING:
			_, _ = io.WriteString(w, `{"allow":{}}`)
		default:
			_, _ = io.WriteString(w, `{"operations":`+strings.ReplaceAll(answer, "3k8…x", e.GetConnectionId()))
		}
	}
	inWorld(t, dispatch.Options{}, reply, func(w *world) {
		c := w.browsers.MustDialWS(t, "EIO=4&transport=websocket")
		c.Next()
		c.Say(`40/chat,{"token":"secret"}`)
		if got := c.Next(); !strings.HasPrefix(got, `40/chat,{"sid"`) {
			t.Fatalf("not let in: %s", got)
		}
		c.Say(`42/chat,1["send message","hello"]`)
		for _, want := range []string{`42/chat,["joined","Ada"]`, `43/chat,1[{"ok":true}]`} {
			if got := c.Next(); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
		synctest.Wait()
		came := w.endpoint.came()
		if len(came) != 2 {
			t.Fatalf("%d requests came, want 2", len(came))
		}
		for line := range strings.Lines(headers) {
			if name, _, _ := strings.Cut(line, ":"); came[1].header.Get(name) == "" {
				t.Errorf("no header %s came", name)
			}
		}
		for i, shown := range []string{connecting, message} {
			for _, field := range regexp.MustCompile(`"\w+":`).FindAllString(shown, -1) {
				if !strings.Contains(string(came[i].body), field) {
					t.Errorf("the field %s is not in %s", field, came[i].body)
				}
			}
		}
		c.Close()
	}, Endpoint{Authorize: true, Secrets: secrets(secret(t, 1))})
}
