// Command fanoutd is the fan-out daemon: browsers connect to it by Socket.IO,
// backends tell it by gRPC what to send to whom.
//
// This package is settings and wiring: it declares the settings (settings_*.go) and the
// commands (commands.go; those that call a daemon are package cli's), binds the listeners, makes the servers know each other and ends them in the
// right order. What they do is decided elsewhere.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/fanoutd/fanoutd/internal/settings"
	"github.com/fanoutd/fanoutd/internal/timerslack"
)

// Exit codes.
const (
	exitOK       = 0
	exitFailed   = 1 // a listener could not be bound, or serving broke off
	exitSettings = 2 // the command line, a variable or the file is wrong
)

func main() {
	if serves(os.Args[1:]) {
		timerslack.Widen()
		// Go ends a process that writes to a standard output or error whose reader has gone.
		signal.Ignore(syscall.SIGPIPE)
	}
	ctx, restore := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal asks for a shutdown in order. From then on signals have
	// their usual effect again, so that a second one ends the process at once.
	context.AfterFunc(ctx, restore)
	os.Exit(run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// run carries out one command line and returns the exit code. The end of ctx
// shuts a serving daemon down.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	if serves(args) && (len(args) == 0 || args[0] != "serve") {
		args = append([]string{"serve"}, args...)
	}
	return runCommand(ctx, args, environ, stdout, stderr)
}

// serves reports whether a command line means the daemon.
func serves(args []string) bool {
	return len(args) == 0 || args[0] == "serve" || strings.HasPrefix(args[0], "-") && !asksForHelp(args)
}

// asksForHelp reports whether args are nothing but that.
func asksForHelp(args []string) bool {
	return len(args) == 1 && slices.Contains([]string{"-h", "-help", "--help"}, args[0])
}

// serveAs runs the daemon as the settings say, and returns the exit code.
func serveAs(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	from := newSource(func(text []byte) (*config, error) { return loadText(args, environ, text) })
	c, err := from.load(nil)
	if errors.Is(err, settings.ErrHelp) {
		printServeHelp(stdout)
		return exitOK
	}
	if err != nil {
		for _, v := range c.unknown { // which may be why
			fmt.Fprintln(stderr, "fanoutd:", v)
		}
		printProblems(stderr, err)
		return exitSettings
	}
	from.level.Set(c.operations.logLevel)
	lines := newLogWriter(stderr, c.operations.logFormat)
	defer lines.close()
	log := newLogger(lines, c.operations.logFormat, from.level)
	grpcLog.use(log)
	for _, v := range c.unknown {
		log.Warn("an environment variable is no setting and is ignored", "variable", v.Name, "nearest", v.Nearest)
	}
	if err := serve(ctx, c, log, lines, from); err != nil {
		log.Error("fanoutd ends", "error", err)
		return exitFailed
	}
	return exitOK
}

// printProblems prints what is wrong, a line for each.
func printProblems(w io.Writer, err error) {
	for _, problem := range settings.Each(err) {
		fmt.Fprintln(w, "fanoutd:", problem)
	}
}
