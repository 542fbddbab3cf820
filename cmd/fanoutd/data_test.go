package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// ask calls a method of the RegistryService in JSON, and returns the answer.
func ask(t *testing.T, address, method, request string) string {
	t.Helper()
	resp, err := http.Post("http://"+address+"/fanout.v1.RegistryService/"+method, "application/json", strings.NewReader(request))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %s, %v", method, resp.StatusCode, body, err)
	}
	return string(body)
}

// handshake asks for a session, for who comes by a proxy from this address.
func handshake(t *testing.T, address, from string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/socket.io/?EIO=4&transport=polling", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Forwarded-For", from)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(resp.StatusCode, " ", string(body))
}

const answerBlocked = `403 {"code":4,"message":"blocked"}`

// TestBlocksOutliveAKill: what was answered is there after the process was killed.
func TestBlocksOutliveAKill(t *testing.T) {
	args := []string{"--data-dir=" + filepath.Join(t.TempDir(), "data"), "--trusted-proxies=127.0.0.1"}
	p := startProcess(t, args...)
	at := p.at
	ask(t, at["backends"], "Block", `{"addresses":["203.0.113.0/24","203.0.114.7"],"users":["42"],"reason":"spam"}`)
	ask(t, at["backends"], "Unblock", `{"addresses":["203.0.114.7"]}`)
	if got := handshake(t, at["browsers"], "203.0.113.7"); got != answerBlocked {
		t.Errorf("got %s", got)
	}
	if err := p.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-p.done

	d := start(t, args...)
	if got := handshake(t, d.at["browsers"], "203.0.113.7"); got != answerBlocked {
		t.Errorf("after a restart: %s", got)
	}
	if got := handshake(t, d.at["browsers"], "203.0.114.7"); !strings.HasPrefix(got, "200 ") {
		t.Errorf("what was lifted is back after a restart: %s", got)
	}
	if got := ask(t, d.at["backends"], "ListBlocks", `{"userPrefix":"4"}`); !strings.Contains(got, `"userId":"42"`) || !strings.Contains(got, `"reason":"spam"`) {
		t.Errorf("got %s", got)
	}
	d.awaitMetric(t, `fanoutd_blocks{kind="users"} 1`)
	d.awaitMetric(t, `fanoutd_refused_total{reason="blocked"} 1`)
}

// TestDataDirsThatCannotBeUsed keep the daemon from starting, and the error says what to do.
func TestDataDirsThatCannotBeUsed(t *testing.T) {
	used, damaged := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(damaged, "fanoutd.db"), []byte("no file of fanoutd"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := load([]string{"--data-dir=" + filepath.Join(damaged, "fanoutd.db")}, nil)
	if err == nil || !strings.Contains(err.Error(), "is no directory") {
		t.Errorf("a file: %v", err)
	}
	first := start(t, "--data-dir="+used)
	for dir, want := range map[string]string{used: "another process has it open", damaged: "it is damaged, or no file of fanoutd"} {
		var log strings.Builder
		code := run(context.Background(), []string{"serve", "--listen=127.0.0.1:0", "--control-listen=127.0.0.1:0", "--ops-listen=127.0.0.1:0", "--data-dir=" + dir}, nil, io.Discard, &log)
		if code == exitOK || !strings.Contains(log.String(), want) || !strings.Contains(log.String(), "data-dir") {
			t.Errorf("%d, %s; want %q", code, &log, want)
		}
	}
	first.stop()
	if code := first.wait(t); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	start(t, "--data-dir="+used) // the first has left it
}

// TestBlocksOfOtherNodes: a node knows who is blocked at others, those of before its start
// included.
func TestBlocksOfOtherNodes(t *testing.T) {
	args := []string{"--cluster-listen=127.0.0.1:0", "--trusted-proxies=127.0.0.1"}
	a := start(t, append(args, "--node-name=a")...)
	ask(t, a.at["backends"], "Block", `{"addresses":["203.0.113.7"]}`)
	b := start(t, append(args, "--node-name=b", "--cluster-peers="+a.at["nodes"])...)
	b.awaitMetric(t, "fanoutd_nodes_alive 1")
	a.awaitMetric(t, "fanoutd_nodes_alive 1")
	b.awaitMetric(t, `fanoutd_blocks{kind="addresses"} 1`)
	ask(t, b.at["backends"], "Block", `{"addresses":["203.0.113.8"]}`)
	ask(t, b.at["backends"], "Unblock", `{"addresses":["203.0.113.7"]}`)
	for _, d := range []*running{a, b} {
		if got := handshake(t, d.at["browsers"], "203.0.113.8"); got != answerBlocked {
			t.Errorf("got %s", got)
		}
		if got := handshake(t, d.at["browsers"], "203.0.113.7"); !strings.HasPrefix(got, "200 ") {
			t.Errorf("got %s", got)
		}
	}
}
