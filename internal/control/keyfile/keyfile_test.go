package keyfile

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/control/identity"
)

// keys reads one key a line.
func keys(path string) (list []identity.Key, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for _, secret := range strings.Fields(string(text)) {
		if secret == "bad" {
			return nil, errors.New("a bad one")
		}
		list = append(list, identity.Key{Secret: secret})
	}
	return list, nil
}

// mount is a directory as Kubernetes mounts a Secret: the file is a symbolic
// link through another, which a rename replaces.
type mount struct {
	t    *testing.T
	dir  string
	path string // of the file
}

func newMount(t *testing.T, text string) *mount {
	t.Helper()
	m := &mount{t: t, dir: t.TempDir()}
	m.path = filepath.Join(m.dir, "keys")
	m.replace(text)
	if err := os.Symlink(filepath.Join("..data", "keys"), m.path); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *mount) replace(text string) {
	m.t.Helper()
	next, err := os.MkdirTemp(m.dir, "version")
	if err == nil {
		err = os.WriteFile(filepath.Join(next, "keys"), []byte(text), 0o600)
	}
	if err == nil {
		err = os.Symlink(filepath.Base(next), filepath.Join(m.dir, "..next"))
	}
	if err == nil {
		err = os.Rename(filepath.Join(m.dir, "..next"), filepath.Join(m.dir, "..data"))
	}
	if err != nil {
		m.t.Fatal(err)
	}
}

func TestRun(t *testing.T) {
	m := newMount(t, "one")
	synctest.Test(t, func(t *testing.T) {
		callers, err := identity.NewAuthenticator([]identity.Key{{Secret: "one"}}, false)
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		again := make(chan os.Signal, 1)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go New([]string{m.path}, func() ([]identity.Key, error) { return keys(m.path) }, callers, slog.New(slog.NewTextHandler(&out, nil))).Run(ctx, again)

		step := func(name, text string, ask bool, valid, invalid, logged string) {
			t.Helper()
			m.replace(text)
			if ask {
				again <- syscall.SIGHUP
				synctest.Wait()
			} else {
				time.Sleep(3 * interval)
				synctest.Wait()
			}
			if _, err := callers.Authenticate([]string{"Bearer " + valid}, nil); err != nil {
				t.Errorf("%s: %q is refused", name, valid)
			}
			if _, err := callers.Authenticate([]string{"Bearer " + invalid}, nil); err == nil {
				t.Errorf("%s: %q is taken", name, invalid)
			}
			if got := out.String(); logged == "" && got != "" || !strings.Contains(got, logged) || strings.Count(got, "\n") > 1 {
				t.Errorf("%s: logged %q, want one line with %q", name, got, logged)
			}
			out.Reset()
		}
		step("the same", "one", false, "one", "two", "")
		step("one more", "two one", false, "two", "three", "have changed")
		step("the old one goes", "two", false, "two", "one", "have changed")
		step("empty", "", false, "two", "one", `level=ERROR msg="the control keys stay as they are`)
		step("still empty", "", false, "two", "one", "")
		step("bad", "three bad", false, "two", "three", "a bad one")
		step("bad, and asked", "bad", true, "two", "bad", "a bad one")
		step("as before", "two", false, "two", "one", "are those of their files")
		step("asked", "two", true, "two", "one", "are those of their files")
		step("asked after a change", "three", true, "three", "two", "have changed")
	})
}
