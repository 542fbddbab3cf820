package main

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fanoutd/fanoutd/internal/admission/token"
)

func TestToken(t *testing.T) {
	private, public := keyPair(t)
	config := writeFile(t, "jwt-secret: "+jwtSecret+"\njwt-algorithms: [HS256]\njwt-issuer: me\njwt-audience: fanoutd\n")
	tests := []struct {
		name string
		args []string // settings
		more []string // of the command
	}{
		{"secret", tokenArgs(), nil},
		{"settings in a file", []string{"--config=" + config}, nil},
		{"key", []string{"--jwt-public-key-file=" + public, "--jwt-algorithms=ES256", "--jwt-issuer=me", "--jwt-audience=fanoutd"},
			[]string{"--private-key-file", private, "--key-id=1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := load(tt.args, nil)
			if err != nil {
				t.Fatal(err)
			}
			tokens, err := token.New(c.tokens.options(nil))
			if err != nil {
				t.Fatal(err)
			}
			args := slices.Concat([]string{"--user", "42", "--room", "a", "--room=b, c"}, tt.args, tt.more, []string{"--data", `{"x":1}`, "--ttl", "90m"})
			id, err := tokens.Verify(t.Context(), mintToken(t, args...))
			if err != nil {
				t.Fatal(err)
			}
			if id.User != "42" || !slices.Equal(id.Rooms, []string{"a", "b, c"}) || !reflect.DeepEqual(id.Data, map[string]any{"x": 1.0}) {
				t.Errorf("got %+v", id)
			}
			if left := time.Until(id.Expire); left > 90*time.Minute || left < time.Hour {
				t.Errorf("good for %v", left)
			}
		})
	}
}

func TestTokenRefuses(t *testing.T) {
	_, public := keyPair(t)
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"no key", []string{"--user=42"}, "set jwt-secret-file"},
		{"half of the settings", []string{"--user=42", "--jwt-secret=" + jwtSecret}, "jwt-algorithms"},
		{"no user", tokenArgs(), "--user"},
		{"bad data", tokenArgs("--user=42", "--data={x}"), "--data is not JSON"},
		{"data that is a list", tokenArgs("--user=42", "--data=[1]"), "not an object"},
		{"bad time", tokenArgs("--user=42", "--ttl=1"), "ttl"},
		{"no time", tokenArgs("--user=42", "--ttl=0s"), "within a second"},
		{"no private key", []string{"--user=42", "--jwt-public-key-file=" + public, "--jwt-algorithms=ES256", "--jwt-issuer=me", "--jwt-audience=a"}, "a private key is needed"},
		{"no such private key", tokenArgs("--user=42", "--private-key-file=/nonexistent"), "/nonexistent"},
		{"an unknown flag", tokenArgs("--name=42"), "--name"},
		{"a word", tokenArgs("--user=42", "word"), `"word"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr strings.Builder
			code := run(t.Context(), append([]string{"token"}, tt.args...), nil, &stdout, &stderr)
			if code != exitSettings || stdout.Len() > 0 || !strings.Contains(stderr.String(), tt.want) || strings.Count(stderr.String(), "\n") != 1 {
				t.Errorf("exit code %d, printed %q and %q, want %q", code, &stdout, &stderr, tt.want)
			}
			if strings.Contains(stderr.String(), jwtSecret) {
				t.Errorf("shows the secret: %s", &stderr)
			}
		})
	}
	var stdout, stderr strings.Builder
	if code := run(t.Context(), []string{"token", "--help"}, nil, &stdout, &stderr); code != exitOK || !strings.Contains(stdout.String(), "--private-key-file") {
		t.Errorf("help: exit code %d, %q, %q", code, &stdout, &stderr)
	}
	if code := run(t.Context(), []string{"serve", "--user=42"}, nil, &stdout, &stderr); code != exitSettings {
		t.Errorf("the daemon takes the flags of token: exit code %d", code)
	}
}
