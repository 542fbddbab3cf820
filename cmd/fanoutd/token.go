package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/fanoutd/fanoutd/internal/admission/token"
	"github.com/fanoutd/fanoutd/internal/settings"
)

// grantFlags are the flags of fanoutd token besides the settings.
type grantFlags struct {
	token.Grant
	data    string
	keyFile string
}

// add adds the flags to fs.
func (g *grantFlags) add(fs *flag.FlagSet) {
	fs.StringVar(&g.User, "user", "", "the `user` that the token is for")
	fs.Func("room", "a `room` that its connections start in; may be repeated", func(room string) error {
		g.Rooms = append(g.Rooms, room)
		return nil
	})
	fs.StringVar(&g.data, "data", "", "a `JSON` object that is kept with its connections")
	fs.DurationVar(&g.TTL, "ttl", time.Hour, "how `long` it is good, such as 90s or 24h")
	fs.StringVar(&g.keyFile, "private-key-file", "", "the PEM `file` with the private key that signs it, unless jwt-secret does")
	fs.StringVar(&g.KeyID, "key-id", "", "the `kid` in its header, for a key from jwks-url")
}

// printToken mints a development token from the same settings that the daemon
// verifies tokens by, and prints it.
func printToken(c *cobra.Command, args, environ []string, stdout, stderr io.Writer) int {
	minted, err := mint(args, environ)
	if errors.Is(err, settings.ErrHelp) {
		helpOwnFlags(c)
		return exitOK
	}
	if err != nil {
		printProblems(stderr, err)
		return exitSettings
	}
	fmt.Fprintln(stdout, minted)
	return exitOK
}

func mint(args, environ []string) (string, error) {
	c, g := &config{}, &grantFlags{}
	s := newSettings(c)
	s.MoreFlags = g.add
	if err := s.Read(args, environ); err != nil {
		return "", err
	}
	if err := c.tokens.check(s); err != nil {
		return "", err
	}
	if !c.tokens.on() {
		return "", errors.New("token: no token is asked for, so none is needed: set jwt-secret-file, jwt-public-key-file or jwks-url, as for the daemon")
	}
	if g.User == "" {
		return "", errors.New("token: --user is needed: whom the token is for")
	}
	if g.data != "" {
		if !json.Valid([]byte(g.data)) {
			return "", errors.New("token: --data is not JSON")
		}
		g.Data = json.RawMessage(g.data)
	}
	var private []byte
	if g.keyFile != "" {
		var err error
		if private, err = settings.ReadFile(g.keyFile); err != nil {
			return "", fmt.Errorf("token: --private-key-file: %w", err)
		}
	}
	minted, err := token.Mint(c.tokens.options(slog.Default()), private, g.Grant)
	if err != nil {
		return "", fmt.Errorf("token: %w", err)
	}
	return minted, nil
}
