package settings

import (
	"maps"
	"strings"
	"testing"
)

func TestWriteValues(t *testing.T) {
	file := writeFile(t, "names: ['a, b', null x, \"true\", '']\n")
	if _, _, err := read([]string{"--config=" + file}, nil); err == nil {
		t.Fatal("an empty name was accepted")
	}
	file = writeFile(t, "names: ['a, b', \"null\", \"true\", '#']\nwindow: 3s\n")
	_, s, err := read([]string{"--config=" + file, "--demo", "--key=s3cr3t", "--size=2048"}, []string{"PROG_LEVEL=high"})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := s.WriteValues(&b); err != nil {
		t.Fatal(err)
	}
	want := `# Listeners
listen: :8080 # default
control-listen: "" # not set

# Operations
max-wait: 25s # default
window: 3s # file FILE, line 2
size: 2048 # flag --size
demo: true # flag --demo
level: high # environment variable PROG_LEVEL
names: ['a, b', "null", "true", '#'] # file FILE, line 1
key: '***' # flag --key
key-file: "" # not set
config: FILE # flag --config
`
	if got := strings.ReplaceAll(b.String(), file, "FILE"); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}

	// Read again, it says the same.
	var again []string
	for line := range strings.Lines(b.String()) {
		if !strings.Contains(line, "# not set") && !strings.HasPrefix(line, "config:") {
			again = append(again, line)
		}
	}
	_, s2, err := read([]string{"--config=" + writeFile(t, strings.Join(again, "")), "--key=s3cr3t"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	before, after := s.Texts(), s2.Texts()
	delete(before, ConfigFile)
	delete(after, ConfigFile)
	if !maps.Equal(before, after) {
		t.Errorf("read again: got %q, want %q", after, before)
	}
}

func TestWriteDefaults(t *testing.T) {
	_, initial, err := read(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := initial.WriteDefaults(&b); err != nil {
		t.Fatal(err)
	}
	const begin = `# Listeners

# Where browsers connect.
# Allowed: HOST:PORT or :PORT
#listen: :8080
`
	if !strings.HasPrefix(b.String(), begin) {
		t.Errorf("got:\n%s\nwant at its beginning:\n%s", &b, begin)
	}
	var defaults strings.Builder // what one gets by taking away the # in front of names
	for line := range strings.Lines(b.String()) {
		if strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "# ") && !strings.HasSuffix(line, ":\n") {
			defaults.WriteString(line[1:])
		}
	}
	for what, text := range map[string]string{"as it is": b.String(), "with all defaults set": defaults.String()} {
		_, s, err := read([]string{"--config=" + writeFile(t, text)}, nil)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		want, got := initial.Texts(), s.Texts()
		got[ConfigFile] = ""
		if !maps.Equal(got, want) {
			t.Errorf("%s: it says %q, want %q", what, got, want)
		}
		if set := s.Get("listen").IsSet(); set != (what != "as it is") {
			t.Errorf("%s: listen is set: %v", what, set)
		}
	}
}

func TestCheckFiles(t *testing.T) {
	there, missing := writeFile(t, "x"), "/nonexistent/key"
	for _, tt := range []struct{ value, want string }{
		{there, ""},
		{missing, "cert-file (flag --cert-file): stat " + missing + ": no such file or directory: name a file"},
		{"/", "cert-file (flag --cert-file): / is no file"},
		{"", "cert-file (flag --cert-file): is set, but empty"},
	} {
		s := New("prog")
		s.Declare("All", Setting{Name: "cert-file", Value: File(new(string))}, Setting{Name: "other-file", Value: File(new(string))})
		if err := s.Read([]string{"--cert-file=" + tt.value}, nil); err != nil {
			t.Fatal(err)
		}
		err := s.CheckFiles()
		if (err == nil) != (tt.want == "") || err != nil && !strings.HasPrefix(err.Error(), tt.want) || s.Bad("cert-file") != (err != nil) || s.Bad("other-file") {
			t.Errorf("%q: got %v, want %s", tt.value, err, tt.want)
		}
	}
}

// Nobody takes a URL for a secret, but it may hold a password: that is shown nowhere.
func TestPasswordsInURLsAreNotShown(t *testing.T) {
	const url = "https://me:s3cr3t@host:1/path"
	var where string
	s := New("prog")
	s.Declare("All",
		Setting{Name: "where", Value: String(&where, "")},
		Setting{Name: "size", Value: Number(new(int), 1, 1, 9)},
	)
	err := s.Read([]string{"--where=" + url, "--size=" + url}, nil)
	if err == nil || strings.Contains(err.Error(), "s3cr3t") || !strings.Contains(err.Error(), "https://***@host:1/path") {
		t.Errorf("refused: %v", err)
	}
	var b strings.Builder
	if err := s.WriteValues(&b); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "where: https://***@host:1/path # flag") || strings.Contains(b.String(), "s3cr3t") {
		t.Errorf("written:\n%s", &b)
	}
	if where != url {
		t.Errorf("set to %q", where)
	}
}
