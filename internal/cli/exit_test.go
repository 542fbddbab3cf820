package cli

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestExplain(t *testing.T) {
	bad, err := status.New(codes.InvalidArgument, "event: must not be empty").WithDetails(&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{
		{Field: "to", Description: "names nobody"}, {Field: "event", Description: "must not be \x1b empty"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		err  error
		key  string
		exit Exit
		want string
	}{
		{"nobody listens", status.Error(codes.Unavailable, `connection error: desc = "transport: Error while dialing: dial tcp 127.0.0.1:1: connect: connection refused"`), "", ExitFailed, "no daemon answers at localhost:8081 (tcp 127.0.0.1:1: connect: connection refused): is it running? --address"},
		{"TLS is wanted", status.Error(codes.Unavailable, `connection error: desc = "error reading server preface: EOF"`), "", ExitFailed, "try --tls"},
		{"another certificate", status.Error(codes.Unavailable, `connection error: desc = "transport: authentication handshake failed: tls: unknown authority"`), "", ExitFailed, "tls: unknown authority; --tls-ca-file"},
		{"no key", status.Error(codes.Unauthenticated, "no key"), "", ExitFailed, "the daemon wants a key: set FANOUTD_CONTROL_KEY"},
		{"another key", status.Error(codes.Unauthenticated, "no such key"), "x", ExitFailed, "does not know this key"},
		{"too little a key", status.Error(codes.PermissionDenied, "scope missing: admin"), "x", ExitFailed, "may not do this: scope missing: admin"},
		{"fields", bad.Err(), "", ExitUsage, `to: names nobody; event: must not be \u001b empty`},
		{"nothing there", status.Error(codes.NotFound, "no connection"), "", ExitNobody, "no connection"},
		{"late", status.Error(codes.DeadlineExceeded, "x"), "", ExitFailed, "--timeout"},
		{"an older daemon", status.Error(codes.Unimplemented, "unknown method"), "", ExitFailed, "may be older"},
		{"of a command's own", nobodyf("nobody"), "", ExitNobody, "nobody"},
		{"of anything else", errors.New("disk \x1b"), "", ExitFailed, `disk \u001b`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := &app{connect: connectFlags{address: "localhost:8081", key: tt.key}}
			got := a.explain(tt.err)
			if got == nil || !strings.Contains(got.Error(), tt.want) || ExitCode(got) != tt.exit {
				t.Errorf("got %q, exit code %d; want %q, %d", got, ExitCode(got), tt.want, tt.exit)
			}
		})
	}
	if ExitCode(nil) != ExitOK || ExitCode(errors.New("of the library")) != ExitUsage {
		t.Error("other exit codes")
	}
}

func TestKey(t *testing.T) {
	file := func(text string) string {
		name := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	const secret = "correct-horse-battery-staple"
	tests := []struct {
		name    string
		flag    string
		environ map[string]string
		want    string
		err     string
	}{
		{name: "none"},
		{name: "the variable", environ: map[string]string{variableKey: secret + ",another"}, want: secret},
		{name: "the variable's file", environ: map[string]string{variableKeyFile: file("\n" + secret + "\nanother\n")}, want: secret},
		{name: "a file with a byte order mark", flag: file("\ufeff" + secret + "\r\n"), want: secret},
		{name: "the flag before the variable", flag: file(secret), environ: map[string]string{variableKey: "another"}, want: secret},
		{name: "no such file", flag: "/nowhere/key", err: "--key-file: open /nowhere/key"},
		{name: "an empty file", environ: map[string]string{variableKeyFile: file("\n")}, err: "there is no key in"},
		{name: "no key", flag: file(secret + " \x00"), err: "is no key"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := connectFlags{keyFile: tt.flag, environ: tt.environ}
			got, err := f.readKey()
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || strings.Contains(err.Error(), secret) {
					t.Errorf("got %v, want %q, and not the key", err, tt.err)
				}
				return
			}
			if err != nil || got != tt.want {
				t.Errorf("got %q (%v), want %q", got, err, tt.want)
			}
		})
	}
}
