package certfile

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/certfile/certtest"
)

func TestLoadRefuses(t *testing.T) {
	dir, authority := t.TempDir(), certtest.New(t, "authority")
	cert, key := authority.Issue(t, "one").Write(t, dir)
	otherKey := certtest.Write(t, dir, "other-key", authority.Issue(t, "other").Key)
	nonsense := certtest.Write(t, dir, "nonsense", "nonsense")
	missing := filepath.Join(dir, "missing")
	for _, tt := range []struct {
		name, cert, key, want string // want empty: it is taken
	}{
		{"a pair", cert, key, ""},
		{"no certificate file", missing, key, missing},
		{"no key file", cert, missing, missing},
		{"a folder", dir, key, dir},
		{"nonsense", nonsense, key, "PEM"},
		{"another's key", cert, otherKey, "does not match"},
		{"the files swapped", key, cert, "PEM"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := LoadPair(tt.cert, tt.key)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
	if _, err := LoadPool(cert); err != nil {
		t.Error(err)
	}
	for _, path := range []string{missing, nonsense, key, dir} {
		if _, err := LoadPool(path); err == nil {
			t.Errorf("%s is taken for authorities", path)
		}
	}
}

// Editors that mark UTF-8 put the mark before the first block, which would not be seen.
func TestByteOrderMark(t *testing.T) {
	dir, one, two := t.TempDir(), certtest.New(t, "one"), certtest.New(t, "two")
	issued := one.Issue(t, "leaf")
	cert, key := certtest.Certificate{Cert: "\ufeff" + issued.Cert, Key: "\ufeff" + issued.Key}.Write(t, dir)
	if _, err := LoadPair(cert, key); err != nil {
		t.Error(err)
	}
	got, err := LoadPool(certtest.Write(t, dir, "pool.pem", "\ufeff"+one.PEM()+two.PEM()))
	if err != nil {
		t.Fatal(err)
	}
	want, err := LoadPool(certtest.Write(t, dir, "plain.pem", one.PEM()+two.PEM()))
	if err != nil {
		t.Fatal(err)
	}
	if !got.Equal(want) {
		t.Error("an authority is missing")
	}
}

// A pair and a pool follow their files, each bad state is logged once, and leaves what was.
func TestRun(t *testing.T) {
	dir, authority := t.TempDir(), certtest.New(t, "authority")
	begin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // when a bubble's time does
	issue := func(name string, from, to time.Duration) certtest.Certificate {
		return authority.IssueFor(t, name, begin.Add(from), begin.Add(to))
	}
	one, two := issue("one", -time.Hour, time.Hour), issue("two", -time.Hour, time.Hour)
	old, early := issue("old", -2*time.Hour, -time.Hour), issue("early", time.Hour, 2*time.Hour)
	certFile, keyFile := one.Write(t, dir)
	poolFile := certtest.Write(t, dir, "pool.pem", authority.PEM())
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		w := NewWatcher(slog.New(slog.NewTextHandler(&out, nil)))
		pair, err := w.Pair("browsers", certFile, keyFile)
		if err != nil {
			t.Fatal(err)
		}
		pool, err := w.Pool("clients", poolFile)
		if err != nil {
			t.Fatal(err)
		}
		again := make(chan os.Signal)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go w.Run(ctx, again)

		step := func(name, cert, key string, ask bool, want, logged string, lines int) {
			t.Helper()
			certtest.Certificate{Cert: cert, Key: key}.Write(t, dir)
			if ask {
				again <- syscall.SIGHUP
			} else {
				time.Sleep(3 * interval)
			}
			synctest.Wait()
			got, err := pair.GetCertificate(nil)
			if err != nil || got.Leaf.Subject.CommonName != want {
				t.Errorf("%s: the certificate is %q, %v, want %q", name, got.Leaf.Subject.CommonName, err, want)
			}
			if text := out.String(); !strings.Contains(text, logged) || strings.Count(text, "\n") != lines {
				t.Errorf("%s: logged %q, want %d lines with %q", name, text, lines, logged)
			}
			if x := w.Expiries(); len(x) != 1 || x[0].Who != "browsers" || !x[0].At.Equal(got.Leaf.NotAfter) {
				t.Errorf("%s: expiries are %v, want that of %q", name, x, want)
			}
			out.Reset()
		}
		step("the same", one.Cert, one.Key, false, "one", "", 0)
		step("another", two.Cert, two.Key, false, "two", "have changed", 1)
		step("a key of another", two.Cert, one.Key, false, "two", `level=ERROR msg="the certificates stay as they are`, 1)
		step("still", two.Cert, one.Key, false, "two", "", 0)
		step("nonsense, and asked", "nonsense", one.Key, true, "two", "who=browsers", 2) // the pool's is fine
		step("mended", two.Cert, two.Key, false, "two", "are those of their files", 1)
		step("asked", two.Cert, two.Key, true, "two", "are those of their files", 2)
		step("asked after a change", one.Cert, one.Key, true, "one", "have changed", 2)
		step("expired", old.Cert, old.Key, false, "old", "has expired, on 1999-12-31T23:00:00Z", 2)
		step("too early", early.Cert, early.Key, false, "early", "not valid before 2000-01-01T01:00:00Z", 2)
		step("back", one.Cert, one.Key, false, "one", "have changed", 1)

		// One file after the other, within two looks: nothing to report.
		certtest.Write(t, dir, "cert.pem", two.Cert)
		time.Sleep(interval)
		step("completed", two.Cert, two.Key, false, "two", "have changed", 1)

		before := pool.Authorities()
		certtest.Write(t, dir, "pool.pem", "nonsense")
		step("the pool is nonsense", two.Cert, two.Key, false, "two", "who=clients", 1)
		if pool.Authorities() != before {
			t.Error("nonsense has replaced the authorities")
		}
		certtest.Write(t, dir, "pool.pem", certtest.New(t, "other").PEM())
		step("the pool is another", two.Cert, two.Key, false, "two", "have changed", 1)
		if pool.Authorities().Equal(before) {
			t.Error("the authorities are the same")
		}
	})
}

// Every certificate of a chain may be the first to expire.
func TestExpiries(t *testing.T) {
	dir, authority := t.TempDir(), certtest.New(t, "authority")
	leaf := authority.Issue(t, "leaf")
	soon := time.Now().Add(time.Minute).Truncate(time.Second)
	leaf.Cert += authority.IssueFor(t, "between", soon.Add(-time.Hour), soon).Cert
	certFile, keyFile := leaf.Write(t, dir)
	w := NewWatcher(slog.New(slog.DiscardHandler))
	if _, err := w.Pair("browsers", certFile, keyFile); err != nil {
		t.Fatal(err)
	}
	if got := w.Expiries(); len(got) != 1 || !got[0].At.Equal(soon) {
		t.Errorf("got %v, want the certificate's between", got)
	}
}
