package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Exit is how a command ended, for scripts.
type Exit int

// The exit codes of all commands.
const (
	ExitOK     Exit = 0
	ExitFailed Exit = 1 // the daemon does not answer, or refuses, or could do it in part only
	ExitUsage  Exit = 2 // the command line is wrong; nothing was sent
	ExitNobody Exit = 3 // the target has no connections now, or what was named is not there
)

// ExitMeaning says what a command that ends so has done.
type ExitMeaning struct {
	Code  Exit
	Means string
}

// Exits returns all exit codes.
func Exits() []ExitMeaning {
	return []ExitMeaning{
		{ExitOK, "it is done"},
		{ExitFailed, "the daemon does not answer or refuses; a node did not answer, so that part is missing; not all browsers answered a `call`"},
		{ExitUsage, "the command line is wrong, or the daemon says so of the request: nothing was done"},
		{ExitNobody, "nobody was there: the target has no connections now, or what was named does not exist"},
	}
}

// failure is an error with the code that it ends the process with.
type failure struct {
	exit Exit
	text string
	err  error
}

func (f *failure) Error() string { return f.text }
func (f *failure) Unwrap() error { return f.err }

func usagef(format string, args ...any) error {
	return &failure{exit: ExitUsage, text: fmt.Sprintf(format, args...)}
}

func failedf(format string, args ...any) error {
	return &failure{exit: ExitFailed, text: fmt.Sprintf(format, args...)}
}

func nobodyf(format string, args ...any) error {
	return &failure{exit: ExitNobody, text: fmt.Sprintf(format, args...)}
}

// ExitCode returns what a command ended with that returned err. What is no failure of a
// command's own was found in the command line by the library.
func ExitCode(err error) Exit {
	var f *failure
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &f):
		return f.exit
	}
	return ExitUsage
}

// explain says in a sentence what an RPC failed with, and what to do where people can do
// something.
func (a *app) explain(err error) error {
	var f *failure
	if err == nil || errors.As(err, &f) {
		return err
	}
	s, ok := status.FromError(err)
	if !ok {
		if errors.Is(err, context.DeadlineExceeded) {
			return failedf("no answer from %s within %s: --timeout gives it longer", a.connect.at(), a.connect.timeout)
		}
		return &failure{exit: ExitFailed, text: clean(err.Error()), err: err}
	}
	exit := ExitFailed
	text := clean(s.Message())
	switch s.Code() {
	case codes.Unavailable:
		text = a.unavailable(text)
	case codes.Unauthenticated:
		text = "the daemon does not know this key: set FANOUTD_CONTROL_KEY, or name its file with --key-file (" + text + ")"
		if a.connect.key == "" {
			text = "the daemon wants a key: set FANOUTD_CONTROL_KEY, or name its file with --key-file"
		}
	case codes.PermissionDenied:
		text = "the key may not do this: " + text
	case codes.DeadlineExceeded:
		text = fmt.Sprintf("no answer from %s within %s: --timeout gives it longer", a.connect.at(), a.connect.timeout)
	case codes.Unimplemented:
		text = "the daemon does not have this; it may be older than this program, which fanoutd nodes shows: " + text
	case codes.NotFound:
		exit = ExitNobody
	case codes.InvalidArgument:
		exit = ExitUsage
		if fields := violations(s); fields != "" {
			text = fields
		}
	}
	return &failure{exit: exit, text: text, err: err}
}

// unavailable says why there is no answer, as far as it can be told.
func (a *app) unavailable(text string) string {
	at := a.connect.at()
	switch {
	case strings.Contains(text, "connection refused"), strings.Contains(text, "no such file"), strings.Contains(text, "no such host"):
		_, why, _ := strings.Cut(text, "dial ")
		return fmt.Sprintf("no daemon answers at %s (%s): is it running? --address or FANOUTD_ADDRESS names its control-listen", at, strings.TrimSuffix(why, `"`))
	case strings.Contains(text, "authentication handshake failed"):
		_, why, _ := strings.Cut(text, "authentication handshake failed: ")
		return fmt.Sprintf("no TLS with %s: %s; --tls-ca-file names the authority of its certificate, --tls-cert-file and --tls-key-file are for daemons that want one of yours", at, strings.TrimSuffix(why, `"`))
	case !a.connect.encrypted() && (strings.Contains(text, "server preface") || strings.Contains(text, "connection reset") || strings.Contains(text, "EOF")):
		return fmt.Sprintf("%s does not speak gRPC without TLS: try --tls, or --tls-ca-file with the authority of its certificate; and it has to be control-listen, not listen", at)
	}
	return text + fmt.Sprintf(" (%s)", at)
}

// violations are the fields of a request that are at fault, in one line.
func violations(s *status.Status) string {
	var all []string
	for _, detail := range s.Details() {
		if bad, ok := detail.(*errdetails.BadRequest); ok {
			for _, v := range bad.FieldViolations {
				all = append(all, clean(v.Field+": "+v.Description))
			}
		}
	}
	return strings.Join(all, "; ")
}
