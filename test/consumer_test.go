package test

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/fanoutd/fanoutd/backend"
	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// consumerVar tells the test binary to be a consumer instead, and of which
// daemon; recordVar names the file it writes to.
const (
	consumerVar = "TEST_CONSUMER"
	recordVar   = "TEST_RECORD"
)

// handling is how long an event takes.
const handling = 15 * time.Millisecond

func TestMain(m *testing.M) {
	if address := os.Getenv(consumerVar); address != "" {
		if err := consume(address, os.Getenv(recordVar)); err != nil {
			log.Fatal(err)
		}
		return
	}
	code := m.Run()
	_ = os.RemoveAll(faultyProgram.dir) // nothing, if it was not built
	os.Exit(code)
}

// consume is a consumer process: it records every event "n" before it settles
// it. A record is one write to a file that is opened for appending, so it
// outlives a process that is killed right after it, and all consumers' records
// are in the order of their writing.
func consume(address, record string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	f, err := os.OpenFile(record, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	client, err := backend.Dial(ctx, address, backend.Options{})
	if err != nil {
		return err
	}
	defer client.Close()
	c := client.Consumer(backend.ConsumerOptions{Group: "g"})
	c.On("n", func(_ context.Context, e *backend.Event) (backend.Reply, error) {
		var n int
		if err := e.Args.Decode(&n); err != nil {
			return nil, err
		}
		_, err := fmt.Fprintf(f, "%s %d %d\n", e.ID, n, e.Attempt)
		time.Sleep(handling) // so that a kill hits some between record and ack
		return nil, err
	})
	return c.Run(ctx)
}

// consumer is a process that consumes.
type consumer struct {
	cmd *exec.Cmd
	log *syncBuffer
}

func startConsumer(t *testing.T, address, record string) *consumer {
	t.Helper()
	c := &consumer{cmd: exec.Command(os.Args[0]), log: &syncBuffer{}}
	c.cmd.Env = append(os.Environ(), consumerVar+"="+address, recordVar+"="+record)
	c.cmd.Stdout, c.cmd.Stderr = c.log, c.log
	if err := c.cmd.Start(); err != nil {
		t.Fatalf("starting a consumer: %v", err)
	}
	t.Cleanup(func() { _ = c.stop(os.Kill) }) // an error means that it has ended
	return c
}

// stop signals the process and waits for its end; it ends with an error unless
// it exits with 0.
func (c *consumer) stop(s os.Signal) error {
	if err := c.cmd.Process.Signal(s); err != nil {
		return err
	}
	return c.cmd.Wait()
}

// group returns what the daemon knows of the group g.
func group(ctx context.Context, t *testing.T, admin fanoutv1.AdminServiceClient) *fanoutv1.ListConsumersResponse_Group {
	t.Helper()
	res, err := admin.ListConsumers(ctx, &fanoutv1.ListConsumersRequest{Group: "g", PageSize: 1000})
	if err != nil {
		t.Fatalf("ListConsumers: %v", err)
	}
	if len(res.GetGroups()) == 0 {
		return &fanoutv1.ListConsumersResponse_Group{}
	}
	return res.GetGroups()[0]
}

// eventually asks until it is so.
func eventually(ctx context.Context, t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain until %s: %v", what, context.Cause(ctx))
		}
	}
}

func connectTo(t *testing.T, address string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// readRecord returns the lines of a record so far.
func readRecord(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Clean(path))
	if err != nil {
		t.Fatal(err)
	}
	return strings.FieldsFunc(string(text), func(r rune) bool { return r == '\n' })
}
