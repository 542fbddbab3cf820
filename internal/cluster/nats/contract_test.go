package nats

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/fanoutd/fanoutd/internal/cluster/bus"
	"github.com/fanoutd/fanoutd/internal/cluster/bus/bustest"
)

func TestEmbeddedIsABus(t *testing.T) {
	bustest.Run(t, func(t *testing.T, n int) []bus.Bus {
		nodes := make([]bus.Bus, n)
		var peers []Peer
		for i := range nodes {
			e := newEmbedded(t, Options{Node: fmt.Sprint("node", i), Peers: peers, Secret: []byte("secret")})
			peers = append(peers, peerAt(e))
			nodes[i] = e
		}
		return nodes
	})
}

// newServer starts a NATS server as somebody else would run it, with its defaults.
func newServer(t *testing.T, o *server.Options) *server.Server {
	t.Helper()
	o.Host, o.NoSigs, o.NoLog = "127.0.0.1", true, true
	if o.Port == 0 {
		o.Port = server.RANDOM_PORT
	}
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(patience) {
		t.Fatal("the server does not start")
	}
	return s
}

func newExternal(t *testing.T, o ExternalOptions) *External {
	t.Helper()
	o.Node = "node"
	if o.Cluster == "" {
		o.Cluster = "test"
	}
	e, err := NewExternal(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

func TestExternalIsABus(t *testing.T) {
	bustest.Run(t, func(t *testing.T, n int) []bus.Bus {
		s := newServer(t, &server.Options{})
		nodes := make([]bus.Bus, n)
		for i := range nodes {
			nodes[i] = newExternal(t, ExternalOptions{URLs: []string{s.ClientURL()}})
		}
		return nodes
	})
}

// TestExternalIsABusOverNATSServer: the same over the program that operators run, of the
// version that is embedded.
func TestExternalIsABusOverNATSServer(t *testing.T) {
	program := filepath.Join(t.TempDir(), "nats-server")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "github.com/nats-io/nats-server/v2")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build of nats-server: %v\n%s", err, out)
	}
	url := runServer(t, program)
	clusters := 0
	bustest.Run(t, func(t *testing.T, n int) []bus.Bus {
		clusters++ // so that tests do not see each other
		nodes := make([]bus.Bus, n)
		for i := range nodes {
			nodes[i] = newExternal(t, ExternalOptions{Cluster: fmt.Sprint("test", clusters), URLs: []string{url}})
		}
		return nodes
	})
}

// runServer runs nats-server until the test ends, and returns its URL.
func runServer(t *testing.T, program string) string {
	t.Helper()
	dir := t.TempDir()
	c := exec.Command(program, "--addr", "127.0.0.1", "--port", "-1", "--ports_file_dir", dir)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
	})
	var ports struct {
		NATS []string `json:"nats"`
	}
	file := filepath.Join(dir, fmt.Sprintf("%s_%d.ports", filepath.Base(program), c.Process.Pid))
	until(t, "nats-server says where it listens", func() bool {
		text, err := os.ReadFile(file)
		return err == nil && json.Unmarshal(text, &ports) == nil && len(ports.NATS) > 0
	})
	return ports.NATS[0]
}
