package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

// other is a server that fanoutd is measured against, with the application
// inside its process: see peers/socketio.mjs for what each of them does.
type other struct {
	name    string
	about   string
	tool    []string   // prints the version of what runs it; its absence is a reason not to run
	install [][]string // what has to succeed before; each is quick when all is there
	command []string   // gets the port as its last argument
	heap    bool       // it tells the bytes of its heap at /heap
}

const venv = "peers/python/.venv"

// others are all servers that can be had from registries, in the table's order.
// All versions are pinned, by the lock files and requirements beside the sources.
var others = []other{
	{
		name: "node", about: "npm socket.io",
		tool:    []string{"node", "--version"},
		install: [][]string{{"npm", "ci", "--silent", "--prefer-offline"}},
		command: []string{"node", "--expose-gc", "peers/socketio.mjs"},
		heap:    true,
	},
	{
		name: "python", about: "python-socketio on aiohttp",
		tool: []string{"python3", "--version"},
		install: [][]string{
			{"python3", "-m", "venv", venv},
			{venv + "/bin/pip", "install", "--quiet", "--disable-pip-version-check", "-r", "peers/python/requirements.txt"},
		},
		command: []string{venv + "/bin/python", "peers/python/socketio_peer.py"},
	},
	{
		name: "rust", about: "socketioxide on axum",
		tool:    []string{"cargo", "--version"},
		install: [][]string{{"cargo", "build", "--quiet", "--release", "--locked", "--manifest-path", "peers/rust/Cargo.toml"}},
		command: []string{"peers/rust/target/release/peer"},
	},
	{
		name: "go", about: "zishang520/socket.io",
		tool:    []string{"go", "version"},
		install: [][]string{{"go", "build", "-C", "peers/go", "-o", "peer", "."}},
		command: []string{"peers/go/peer"},
	},
}

// centrifugePeer speaks no Socket.IO: it is in what -table prints, where it does the same work.
var centrifugePeer = other{
	name: "centrifuge", about: "the centrifuge library, by its own protocol",
	tool:    []string{"go", "version"},
	install: [][]string{{"go", "build", "-C", "peers/centrifuge", "-o", "peer", "."}},
	command: []string{"peers/centrifuge/peer"},
}

// choose returns the peers that a comma-separated list names; "all" is everyone.
func choose(list string) ([]other, error) {
	if list == "all" {
		return others, nil
	}
	return chooseOf(others, list)
}

// chooseOf returns those of the peers that a comma-separated list names; empty: none.
func chooseOf(others []other, list string) ([]other, error) {
	var chosen []other
	if list == "" {
		return nil, nil
	}
	for name := range strings.SplitSeq(list, ",") {
		i := slices.IndexFunc(others, func(o other) bool { return o.name == name })
		if i < 0 {
			return nil, fmt.Errorf("no peer %q", name)
		}
		chosen = append(chosen, others[i])
	}
	return chosen, nil
}

// prepare installs what the peer needs and returns the version of what runs it.
func (o other) prepare(ctx context.Context) (version string, err error) {
	fmt.Fprintf(os.Stderr, "preparing %s\n", o.name)
	if version, err = run(ctx, o.tool); err != nil {
		return "", err
	}
	for _, command := range o.install {
		if _, err := run(ctx, command); err != nil {
			return "", err
		}
	}
	return version, nil
}

// run runs a command to its end; an error has the last line that it wrote.
func run(ctx context.Context, command []string) (output string, err error) {
	out, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput()
	output = string(bytes.TrimSpace(out))
	if err != nil {
		last := output[strings.LastIndexByte(output, '\n')+1:]
		return "", fmt.Errorf("%s: %w: %s", strings.Join(command, " "), err, last)
	}
	return output, nil
}

// start starts the peer.
func (o other) start(ctx context.Context) (*peer, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(address)
	name, args, err := pinned(o.command[0], append(slices.Clone(o.command[1:]), port))
	if err != nil {
		return nil, err
	}
	cmd, stop, err := start(ctx, address, name, args...)
	if err != nil {
		return nil, err
	}
	var heap func(context.Context) (int64, error)
	if o.heap {
		heap = func(ctx context.Context) (int64, error) {
			text, err := get(ctx, "http://"+address+"/heap")
			if err != nil {
				return 0, err
			}
			return strconv.ParseInt(text, 10, 64)
		}
	}
	return &peer{
		heap: heap, name: o.name, addresses: []string{address}, daemon: cmd.Process.Pid, all: []int{cmd.Process.Pid}, stop: stop,
		joined: func(context.Context) error { return nil },
		emit: func(ctx context.Context, n int, payload string) error {
			return post(ctx, fmt.Sprintf("http://%s/emit?n=%d", address, n), payload)
		},
	}, nil
}

func post(ctx context.Context, url, body string) error {
	_, err := ask(ctx, http.MethodPost, url, body)
	return err
}

func get(ctx context.Context, url string) (text string, err error) {
	return ask(ctx, http.MethodGet, url, "")
}

// ask makes a request and returns the text of its answer.
func ask(ctx context.Context, method, url, body string) (text string, err error) {
	return askBy(ctx, http.DefaultClient, method, url, body)
}

func askBy(ctx context.Context, client *http.Client, method, url, body string) (text string, err error) {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	res, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return "", errors.New(res.Status)
	}
	b, err := io.ReadAll(res.Body)
	return string(b), err
}
