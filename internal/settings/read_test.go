package settings

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// values is a program's.
type values struct {
	listen  Address
	control Address
	wait    time.Duration
	window  time.Duration
	size    int
	demo    bool
	level   int
	names   []string
	secret  string
	keyFile string
	file    string
}

// declare returns the settings of a program called prog.
func declare(v *values) *Set {
	s := New("prog")
	s.Declare("Listeners",
		Setting{Name: "listen", Help: "where browsers connect", Value: HostPort(&v.listen, ":8080")},
		Setting{Name: "control-listen", Help: "where backends connect", Value: HostPortOrUnix(&v.control, "")},
	)
	s.Declare("Operations",
		Setting{Name: "max-wait", Help: "how long somebody waits at most, in a sentence that takes more than one line", Value: Duration(&v.wait, 25*time.Second)},
		Setting{Name: "window", Help: "how long something is kept", Value: OptionalDuration(&v.window, 0, time.Second)},
		Setting{Name: "size", Help: "how much", Value: Bytes(&v.size, 2000, 1024, 4096)},
		Setting{Name: "demo", Help: "whether", Value: Bool(&v.demo, false)},
		Setting{Name: "level", Help: "which", Value: Choice(&v.level, "low", map[string]int{"low": 1, "high": 2})},
		Setting{Name: "names", Help: "who", Value: Strings(&v.names, []string{"a"}, "names")},
		Setting{Name: "key", Help: "what proves it", Value: String(&v.secret, ""), Secret: true},
		Setting{Name: "key-file", Help: "the file with it", Value: String(&v.keyFile, "")},
		Setting{Name: ConfigFile, Help: "a file", Value: String(&v.file, "")},
	)
	return s
}

func read(args, environ []string) (*values, *Set, error) {
	v := &values{}
	s := declare(v)
	return v, s, s.Read(args, environ)
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "f.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPrecedence(t *testing.T) {
	tests := []struct {
		name   string
		file   string
		env    string
		args   []string
		want   time.Duration
		source string
	}{
		{"default", "", "", nil, 25 * time.Second, "the default"},
		{"file", "max-wait: 1s", "", nil, time.Second, "file FILE, line 1"},
		{"file, underscore", "\nmax_wait: 1s", "", nil, time.Second, "file FILE, line 2"},
		{"environment", "", "PROG_MAX_WAIT=2s", nil, 2 * time.Second, "environment variable PROG_MAX_WAIT"},
		{"flag", "", "", []string{"--max-wait=3s"}, 3 * time.Second, "flag --max-wait"},
		{"flag, one hyphen, two words", "", "", []string{"-max-wait", "300ms"}, 300 * time.Millisecond, "flag --max-wait"},
		{"the last of two flags", "", "", []string{"--max-wait=4s", "--max-wait=3s"}, 3 * time.Second, "flag --max-wait"},
		{"environment over file", "max-wait: 1s", "PROG_MAX_WAIT=2s", nil, 2 * time.Second, "environment variable PROG_MAX_WAIT"},
		{"flag over file", "max-wait: 1s", "", []string{"--max-wait=3s"}, 3 * time.Second, "flag --max-wait"},
		{"flag over environment", "", "PROG_MAX_WAIT=2s", []string{"--max-wait=3s"}, 3 * time.Second, "flag --max-wait"},
		{"flag over all", "max-wait: 1s", "PROG_MAX_WAIT=2s", []string{"--max-wait=3s"}, 3 * time.Second, "flag --max-wait"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			environ, file := []string{tt.env}, ""
			if tt.file != "" {
				file = writeFile(t, tt.file)
				environ = append(environ, "PROG_CONFIG="+file)
			}
			v, s, err := read(tt.args, environ)
			if err != nil {
				t.Fatal(err)
			}
			if want := strings.Replace(tt.source, "FILE", file, 1); v.wait != tt.want || s.Get("max-wait").Source() != want {
				t.Errorf("got %v from %s, want %v from %s", v.wait, s.Get("max-wait").Source(), tt.want, want)
			}
		})
	}
	t.Run("flag names another file than the environment", func(t *testing.T) {
		v, _, err := read([]string{"--config", writeFile(t, "max-wait: 1s")}, []string{"PROG_CONFIG=/nonexistent"})
		if err != nil || v.wait != time.Second {
			t.Errorf("got %+v, %v", v, err)
		}
	})
	t.Run("a file of comments", func(t *testing.T) {
		if _, _, err := read([]string{"--config", writeFile(t, "# nothing\n")}, nil); err != nil {
			t.Error(err)
		}
	})
}

func TestLists(t *testing.T) {
	want := []string{"a", "b c", "d"}
	for name, given := range map[string]struct {
		file, env string
		args      []string
	}{
		"flag":            {args: []string{"--names", "a, b c,d"}},
		"environment":     {env: "PROG_NAMES=a,b c,d"},
		"file, list":      {file: "names:\n- a\n- b c\n- d\n"},
		"file, flow list": {file: "names: [a, b c, d]"},
		"file, one word":  {file: "names: a,b c,d"},
	} {
		t.Run(name, func(t *testing.T) {
			args := given.args
			if given.file != "" {
				args = append(args, "--config", writeFile(t, given.file))
			}
			v, _, err := read(args, []string{given.env})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(v.names, want) {
				t.Errorf("got %q, want %q", v.names, want)
			}
		})
	}
	if v, s, err := read([]string{"--names="}, nil); err != nil || len(v.names) > 0 || !s.Get("names").IsEmpty() {
		t.Errorf("an empty list: got %q, %v", v.names, err)
	}
}

// TestRefusals checks that each mistake names the setting, where it stands and
// what is allowed, in one line.
func TestRefusals(t *testing.T) {
	tests := []struct {
		name string
		args []string
		env  string
		file string
		want []string // all in the error
	}{
		{"unknown flag", []string{"--lisen=1"}, "", "", []string{"unknown flag --lisen: ", "the nearest is --listen"}},
		{"unknown key", nil, "", "listen: :1\nlisen: 1\n", []string{`unknown setting "lisen"`, "f.yaml, line 2", "the nearest is listen"}},
		{"key in capitals", nil, "", "Listen: :1", []string{`"Listen"`, "line 1"}},

		{"bad flag", []string{"--max-wait=25"}, "", "", []string{"max-wait (flag --max-wait)", `"25"`, "300ms"}},
		{"bad variable", nil, "PROG_MAX_WAIT=-1s", "", []string{"max-wait (environment variable PROG_MAX_WAIT)", `"-1s"`, "1ms to 24h"}},
		{"bad key", nil, "", "max_wait: soon", []string{"max-wait (file ", "f.yaml, line 1)", `"soon"`, "allowed"}},
		{"bad key under a good flag", []string{"--max-wait=1s"}, "", "max-wait: x", []string{"max-wait", "line 1"}},
		{"bad variable under a good flag", []string{"--max-wait=1s"}, "PROG_MAX_WAIT=x", "", []string{"max-wait", "PROG_MAX_WAIT"}},
		{"empty variable", nil, "PROG_MAX_WAIT=", "", []string{"max-wait", "PROG_MAX_WAIT"}},
		{"a day and more", []string{"--max-wait=25h"}, "", "", []string{"max-wait", "25h"}},
		{"short of the least", []string{"--window=1ms"}, "", "", []string{"window", "0, or a duration from 1s to 24h"}},
		{"bad switch", []string{"--demo=yes"}, "", "", []string{"demo", `"yes"`, "true or false"}},
		{"switch and word", []string{"--demo", "false"}, "", "", []string{`"false"`, "--demo=false"}},
		{"flag without value", []string{"--listen"}, "", "", []string{"listen"}},
		{"bad choice", []string{"--level=loud"}, "", "", []string{"level", "high, low"}},
		{"address without port", []string{"--listen=localhost"}, "", "", []string{"listen", "HOST:PORT"}},
		{"port too high", []string{"--listen=:65536"}, "", "", []string{"listen", ":65536"}},
		{"named port", []string{"--listen=:http"}, "", "", []string{"listen", ":http"}},
		{"no address", []string{"--listen="}, "", "", []string{"listen", `""`}},
		{"unix where there is none", []string{"--listen=unix:/x"}, "", "", []string{"listen", "unix:/x"}},
		{"unix, too long", []string{"--control-listen=unix:/" + strings.Repeat("x", 120)}, "", "", []string{"control-listen", "121 bytes are too many"}},
		{"unix, relative", []string{"--control-listen=unix:x"}, "", "", []string{"control-listen", "unix:/PATH"}},
		{"too small", []string{"--size=0"}, "", "", []string{"size", "from 1024"}},
		{"too large", []string{"--size=5000"}, "", "", []string{"size", "to 4096"}},
		{"size with unit", []string{"--size=2KB"}, "", "", []string{"size", "number of bytes"}},
		{"list twice", []string{"--names=a", "--names=b"}, "", "", []string{"names (flag --names)", "2 times"}},
		{"empty entry", []string{"--names=/a,,/b"}, "", "", []string{"names", "empty"}},

		{"key twice", nil, "", "max-wait: 1s\nmax_wait: 1s", []string{"max-wait", "line 2", "already in line 1"}},
		{"list for a word", nil, "", "max-wait: [1s]", []string{"max-wait", "line 1", "single word"}},
		{"mapping for a list", nil, "", "names: {a: b}", []string{"names", "neither a word nor a list"}},
		{"nothing for a word", nil, "", "max-wait:", []string{"max-wait", "single word"}},
		{"mapping in a list", nil, "", "names: [a, {b: c}]", []string{"names", "entry 2"}},
		{"file in a file", nil, "", "config: other", []string{"config", "line 1"}},
		{"no mapping", nil, "", "- listen", []string{"config", "line 1", "mapping"}},
		{"no YAML", nil, "", "a: [", []string{"config", "yaml"}},
		{"two documents", nil, "", "max-wait: 1s\n---\nmax-wait: 2s", []string{"config", "more than one document"}},
		{"no such file", []string{"--config=/nonexistent/x"}, "", "", []string{"config (flag --config)", "/nonexistent/x"}},
		{"file is a folder", nil, "PROG_CONFIG=/", "", []string{"config", "PROG_CONFIG"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			args := tt.args
			if tt.file != "" {
				args = append(args, "--config="+writeFile(t, tt.file))
			}
			_, _, err := read(args, []string{tt.env})
			if err == nil {
				t.Fatal("accepted")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("no %q in: %v", want, err)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("not one line: %v", err)
			}
		})
	}
}

func TestSecretFile(t *testing.T) {
	const secret = "s3cr3t"
	file := writeFile(t, secret+"\r\n")
	tests := []struct {
		name string
		args []string
		want string // nothing: refused, or not set
		err  string // all of it is in the error; nothing: none
	}{
		{"neither", nil, "", ""},
		{"value", []string{"--key=" + secret}, "", ""},
		{"file", []string{"--key-file=" + file}, secret, ""},
		{"file with a byte order mark", []string{"--key-file=" + writeFile(t, "\ufeff"+secret+"\r\n")}, secret, ""},
		{"file with a mark alone", []string{"--key-file=" + writeFile(t, "\ufeff\r\n")}, "", "is empty"},
		{"both", []string{"--key=" + secret, "--key-file=" + file}, "", "key-file (flag --key-file): key is set too (flag --key)"},
		{"empty value", []string{"--key="}, "", "key (flag --key): is set, but empty"},
		{"empty name", []string{"--key-file="}, "", "key-file (flag --key-file): is set, but empty"},
		{"empty file", []string{"--key-file=" + writeFile(t, "\n")}, "", "is empty"},
		{"no file", []string{"--key-file=/nonexistent"}, "", "/nonexistent"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, s, err := read(tt.args, nil)
			if err != nil {
				t.Fatal(err)
			}
			got, err := s.SecretFile("key")
			if string(got) != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("got %q, %v, want %q, %s", got, err, tt.want, tt.err)
			}
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("shows the secret: %v", err)
			}
		})
	}
}

// A secret that is refused is not shown.
func TestSecretIsNotShown(t *testing.T) {
	var n int
	s := New("prog")
	s.Declare("All", Setting{Name: "pin", Secret: true, Value: Number(&n, 1, 1, 9)})
	err := s.Read([]string{"--pin=s3cr3t"}, nil)
	if err == nil || strings.Contains(err.Error(), "s3cr3t") || !strings.Contains(err.Error(), "pin (flag --pin): the value is not allowed") {
		t.Errorf("got %v", err)
	}
}

func TestDeclareTwice(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a second setting of the same name was accepted")
		}
	}()
	declare(&values{}).Declare("More", Setting{Name: "listen", Value: String(new(string), "")})
}

func TestHelp(t *testing.T) {
	var b strings.Builder
	declare(&values{}).WriteHelp(&b)
	const want = `Listeners:
  --listen                 where browsers connect (default :8080)
  --control-listen         where backends connect

Operations:
  --max-wait               how long somebody waits at most, in a sentence that
                           takes more than one line (default 25s)
`
	if got := b.String(); !strings.HasPrefix(got, want) {
		t.Errorf("got:\n%s\nwant at its beginning:\n%s", got, want)
	}
}

// What is mistaken for something else than a value may be a secret all the same.
func TestErrorsShowNoValue(t *testing.T) {
	const secret = "s3cr3t"
	for name, args := range map[string][]string{
		"alias in the file":       {"--config=" + writeFile(t, "key: *"+secret+"\n")},
		"a hyphen too many":       {"---key=" + secret},
		"nothing before the sign": {"--=" + secret},
		"no hyphen":               {"key=" + secret},
	} {
		_, _, err := read(args, nil)
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// All that is wrong is said at once: whoever mends it starts the program once more,
// not once for each.
func TestEveryProblem(t *testing.T) {
	file := writeFile(t, "pong: 1\nlisten: x\nmax-wait: [1s]\nconfig: other\nsize: 0\nlevel: high\n")
	v, s, err := read([]string{"--sise", "1", "---", "--max-wait=x", "stray", "--names=a", "--names=b", "--size=2048", "--config=" + file, "--demo=maybe"}, []string{"PROG_LEVEL=loud"})
	var got []string
	for _, problem := range Each(err) {
		where, _, _ := strings.Cut(strings.ReplaceAll(problem.Error(), file, "FILE"), "; ")
		got = append(got, where)
	}
	want := []string{
		"unknown flag --sise: no setting has this name",
		`"---" is no flag: write --name=value`,
		`unexpected argument "stray" after the flags`,
		`unknown setting "pong" (file FILE, line 1): no setting has this name`,
		`listen (file FILE, line 2): "x" is not allowed`,
		"max-wait (file FILE, line 3): not a single word",
		"config (file FILE, line 4): the file cannot name another file",
		`size (file FILE, line 5): "0" is not allowed`,
		`max-wait (flag --max-wait): "x" is not allowed`,
		`demo (flag --demo): "maybe" is not allowed`,
		`level (environment variable PROG_LEVEL): "loud" is not allowed`,
		"names (flag --names): given 2 times: give the whole list once, separated by commas",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if v.level != 2 || v.size != 2048 {
		t.Errorf("what is refused takes the place of what is not: %+v", v)
	}
	for _, name := range []string{"listen", "max-wait", "size", "demo", "level", "names"} {
		if !s.Bad("key", name) {
			t.Errorf("%s is not bad", name)
		}
	}
	if s.Bad("key", "control-listen", "window") {
		t.Error("a setting is bad of which nothing is said")
	}
}

func TestJoin(t *testing.T) {
	one, two := errors.New("one"), errors.New("two")
	if err := Join(nil, Join(nil)); err != nil {
		t.Errorf("nothing joined is %v", err)
	}
	err := Join(nil, Join(one, nil), two)
	if len(Each(err)) != 2 || err.Error() != "one\ntwo" || !errors.Is(err, two) {
		t.Errorf("got %q", err)
	}
	if got := Each(one); len(got) != 1 || !errors.Is(got[0], one) {
		t.Errorf("an error alone is %v", got)
	}
}
