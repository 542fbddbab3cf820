package cli

import (
	"context"
	"net"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// standIn is a daemon that answers as a test says. What it is not asked for it does not have.
type standIn struct {
	fanoutv1.UnimplementedAdminServiceServer
	fanoutv1.UnimplementedRegistryServiceServer

	letters   []*fanoutv1.DeadLetter
	fullGroup string   // has no room for what is replayed
	replayed  []string // groups, in their order
}

func (s *standIn) ListDeadLetters(context.Context, *fanoutv1.ListDeadLettersRequest) (*fanoutv1.ListDeadLettersResponse, error) {
	return &fanoutv1.ListDeadLettersResponse{DeadLetters: s.letters}, nil
}

func (s *standIn) ReplayDeadLetters(_ context.Context, req *fanoutv1.ReplayDeadLettersRequest) (*fanoutv1.ReplayDeadLettersResponse, error) {
	s.replayed = append(s.replayed, req.GetGroup())
	if req.GetGroup() == s.fullGroup {
		return nil, status.Error(codes.ResourceExhausted, "no room")
	}
	return &fanoutv1.ReplayDeadLettersResponse{Affected: uint32(len(req.GetIds()))}, nil //nolint:gosec // few
}

func (s *standIn) DeleteDeadLetters(context.Context, *fanoutv1.DeleteDeadLettersRequest) (*fanoutv1.DeleteDeadLettersResponse, error) {
	return &fanoutv1.DeleteDeadLettersResponse{}, nil
}

func (s *standIn) Unblock(context.Context, *fanoutv1.UnblockRequest) (*fanoutv1.UnblockResponse, error) {
	return &fanoutv1.UnblockResponse{}, nil
}

// start serves it until the test ends, and returns what carries out a command line against it.
func (s *standIn) start(t *testing.T) func(args ...string) (stdout, stderr string, err error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	fanoutv1.RegisterAdminServiceServer(server, s)
	fanoutv1.RegisterRegistryServiceServer(server, s)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return func(args ...string) (string, string, error) {
		var stdout, stderr strings.Builder
		root := &cobra.Command{Use: "fanoutd", SilenceErrors: true, SilenceUsage: true}
		root.SetOut(&stdout)
		root.SetErr(&stderr)
		Add(root, []string{variableAddress + "=" + l.Addr().String()})
		root.SetArgs(args)
		err := root.ExecuteContext(t.Context())
		return stdout.String(), stderr.String(), err
	}
}

// Dead letters of several groups are replayed group by group, by name; what is done stays done
// when one group fails, and is said.
func TestReplayOfSeveralGroups(t *testing.T) {
	s := &standIn{fullGroup: "c"}
	var ids []string
	for _, group := range []string{"c", "a", "d", "b"} {
		s.letters = append(s.letters, &fanoutv1.DeadLetter{Id: "of-" + group, Group: group})
		ids = append(ids, "of-"+group)
	}
	stdout, stderr, err := s.start(t)(append([]string{"dead-letters", "replay"}, ids...)...)
	if stdout != "" || stderr != "fanoutd: 2 events delivered once more before it failed\n" || err == nil || ExitCode(err) != ExitFailed {
		t.Errorf("%q, %q, %v", stdout, stderr, err)
	}
	if got := strings.Join(s.replayed, " "); got != "a b c" {
		t.Errorf("the groups %s", got)
	}
}

// Where there was nothing to be done the exit code says so, and with --json there is the answer.
func TestNothingToBeDone(t *testing.T) {
	command := new(standIn).start(t)
	for line, says := range map[string]string{
		"unblock user:42":                     "not blocked: user:42",
		"dead-letters delete --all --group g": "none deleted: those that are named are not there",
	} {
		stdout, _, err := command(strings.Fields(line)...)
		if stdout != "" || err == nil || err.Error() != says || ExitCode(err) != ExitNobody {
			t.Errorf("%s: %q, %v", line, stdout, err)
		}
		stdout, _, err = command(append(strings.Fields(line), "--json")...)
		if stdout != "{}\n" || ExitCode(err) != ExitNobody {
			t.Errorf("%s --json: %q, %v", line, stdout, err)
		}
	}
}

func TestWrongLines(t *testing.T) {
	command := new(standIn).start(t)
	for line, says := range map[string]string{
		"rooms --limit -1":             "write a number, 0 or more",
		"tail --limit x":               "write a number, 0 or more",
		"connections ABC --count":      `"ABC" is no target`,
		"connections ABC --from ::1":   `"ABC" is no target`,
		"connections id:A --by node":   "--by goes with --count",
		"emit all x - -":               "may stand once",
		"block user:42 --for -1h":      "longer than nothing",
		"disconnect all --mode gently": "--mode gently",
	} {
		stdout, _, err := command(strings.Fields(line)...)
		if stdout != "" || err == nil || !strings.Contains(err.Error(), says) || ExitCode(err) != ExitUsage {
			t.Errorf("%s: %q, %v, want %q", line, stdout, err, says)
		}
	}
}
