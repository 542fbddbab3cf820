package cluster

import (
	"bytes"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/fanoutd/fanoutd/internal/cluster/bus"
	"github.com/fanoutd/fanoutd/internal/cluster/link"
	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

// warnings are the lines of a log at level warn and above.
type warnings struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (w *warnings) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(b)
}

func (w *warnings) lines() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Split(strings.TrimSpace(w.text.String()), "\n")
}

// TestSettingsDiffer: nodes that meet say once each which setting differs, and its values
// at both; one that only one of them knows is none of them.
func TestSettingsDiffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := bus.NewMemory()
		var logs [2]warnings
		for i, settings := range []map[string]string{
			{"path": "/socket.io/", "namespaces": "*,/chat", "recovery-window": "2m0s", "unknown at the other": "x"},
			{"path": "/socket.io/", "namespaces": "/", "recovery-window": "0s", "later": "y"},
		} {
			log := slog.New(slog.NewTextHandler(&logs[i], &slog.HandlerOptions{Level: slog.LevelWarn}))
			name := []string{"a", "b"}[i]
			n := &testNode{t: t, admit: &admit{}, listener: wiretest.Listen()}
			n.Node = New(Options{
				Self: link.Self{Name: name, Epoch: "epoc" + name}, Link: link.Options{JoinWait: -1, Logger: log}, Settings: settings, Logger: log,
			})
			var err error
			if n.server, err = sio.NewServer(sio.Options{Backend: n.Backend(n.admit), Interest: n.Interest()}); err != nil {
				t.Fatal(err)
			}
			n.http = &http.Server{Handler: n.server}
			if err := n.Start(n.server, memory.Join(name)); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(n.stop)
			n.meet(i)
		}
		synctest.Wait()
		for i, want := range [][]string{
			{"node=b setting=namespaces here=*,/chat there=/", "node=b setting=recovery-window here=2m0s there=0s"},
			{"node=a setting=namespaces here=/ there=*,/chat", "node=a setting=recovery-window here=0s there=2m0s"},
		} {
			lines := logs[i].lines()
			if len(lines) != len(want) {
				t.Fatalf("node %d warns %q", i, lines)
			}
			for j := range want {
				if !strings.HasSuffix(lines[j], want[j]) {
					t.Errorf("node %d warns %q, want %q", i, lines[j], want[j])
				}
			}
		}
	})
}
