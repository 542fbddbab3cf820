package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fanoutd/fanoutd/internal/settings"
)

// healthFlags are the flags of fanoutd healthcheck besides the settings.
type healthFlags struct {
	live    bool
	timeout time.Duration
}

// add adds the flags to fs.
func (h *healthFlags) add(fs *flag.FlagSet) {
	fs.BoolVar(&h.live, "live", false, "ask whether the process runs, instead of whether it is ready for browsers")
	fs.DurationVar(&h.timeout, "timeout", 3*time.Second, "how `long` the answer may take")
}

// path is what is asked for.
func (h *healthFlags) path() string {
	if h.live {
		return "/livez"
	}
	return "/readyz"
}

// maxHealthAnswer bounds what is read of an answer, in bytes: somebody else may
// serve the address.
const maxHealthAnswer = 1 << 10

// checkHealth asks the daemon of the same settings, at ops-listen, whether it is
// ready, and says so. Every failure is exit code 1, wrong settings too: container
// runtimes know no other.
func checkHealth(c *cobra.Command, args, environ []string, stdout, stderr io.Writer) int {
	answer, err := askHealth(args, environ)
	if errors.Is(err, settings.ErrHelp) {
		helpOwnFlags(c)
		return exitOK
	}
	if err != nil {
		fmt.Fprintln(stderr, "fanoutd: healthcheck:", err)
		return exitFailed
	}
	fmt.Fprintln(stdout, answer)
	return exitOK
}

func askHealth(args, environ []string) (string, error) {
	c, h := &config{}, &healthFlags{}
	s := newSettings(c)
	s.MoreFlags = h.add
	if err := s.Read(args, environ); err != nil {
		return "", err
	}
	at := c.listeners.operators
	if at.Network == "tcp" {
		if _, port, _ := net.SplitHostPort(at.Name); strings.Trim(port, "0") == "" {
			return "", s.Get("ops-listen").Errorf("nobody knows the port that the daemon chose: name one")
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), h.timeout)
	defer cancel()
	answer, err := h.ask(ctx, at)
	if err != nil {
		return "", s.Get("ops-listen").Errorf("%s: %w", at, err)
	}
	return answer, nil
}

// ask asks the operators' listener at an address. Only the answer 200 is no error.
// An address without a host, or of every interface, is this machine's.
func (h *healthFlags) ask(ctx context.Context, at settings.Address) (string, error) {
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, at.Network, at.Name)
		},
	}}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://fanoutd"+h.path(), nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxHealthAnswer))
	if err != nil {
		return "", err
	}
	answer := strings.TrimSpace(string(body))
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %q", resp.Status, answer)
	}
	return answer, nil
}
