package datadir

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

func mustOpen(t *testing.T, path string) *Dir {
	t.Helper()
	d, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// records are those of a bucket, as text.
func records(t *testing.T, d *Dir, bucket string) string {
	t.Helper()
	var all strings.Builder
	err := d.Bucket(bucket).Load(func(key string, value []byte) error {
		_, err := fmt.Fprintf(&all, "%s=%s;", key, value)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

func put(t *testing.T, d *Dir, bucket string, records map[string]string, remove ...string) {
	t.Helper()
	all := map[string][]byte{}
	for k, v := range records {
		all[k] = []byte(v)
	}
	if err := d.Bucket(bucket).Update(all, remove); err != nil {
		t.Fatal(err)
	}
}

func TestRecordsOutliveClose(t *testing.T) {
	path := filepath.Join(t.TempDir(), "made", "here")
	d := mustOpen(t, path)
	if got := records(t, d, "b"); got != "" {
		t.Errorf("a new one has %s", got)
	}
	put(t, d, "b", map[string]string{"x": "1", "y": "2", "z": "3"})
	put(t, d, "b", map[string]string{"x": "4"}, "y", "none")
	put(t, d, "c", map[string]string{"x": "5"})
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d = mustOpen(t, path)
	if got := records(t, d, "b") + " " + records(t, d, "c"); got != "x=4;z=3; x=5;" {
		t.Errorf("got %s", got)
	}
	for at, want := range map[string]os.FileMode{path: 0o700 | os.ModeDir, filepath.Join(path, fileName): 0o600} {
		if i, err := os.Stat(at); err != nil || i.Mode() != want {
			t.Errorf("%s: %v, %v", at, i, err)
		}
	}
}

func TestLocked(t *testing.T) {
	path := t.TempDir()
	first := mustOpen(t, path)
	_, err := open(path, 50*time.Millisecond, nil)
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), path) {
		t.Errorf("%v", err)
	}
	opened := make(chan error, 1)
	go func() { // it waits
		d, err := Open(path)
		if err == nil {
			err = d.Close()
		}
		opened <- err
	}()
	first.Close()
	if err := <-opened; err != nil {
		t.Error(err)
	}
}

// TestFormat1: what the first version that had a data-dir wrote can be read.
func TestFormat1(t *testing.T) {
	path := t.TempDir()
	text, err := os.ReadFile("testdata/format1.db")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(path, fileName), text, 0o600); err != nil {
		t.Fatal(err)
	}
	want := `a203.0.113.0/24={"time":1790000000000000000,"node":"a","blocked":true,"reason":"spam","caller":"ops"};` +
		`u42={"time":1790000000000000001,"node":"a","blocked":true,"until":"2100-01-02T03:04:05Z"};u43={"time":1790000000000000002,"node":"b","blocked":false};`
	if got := records(t, mustOpen(t, path), "blocks"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestUpgrade(t *testing.T) {
	path := t.TempDir()
	d := mustOpen(t, path)
	put(t, d, "old", map[string]string{"x": "1"})
	d.Close()
	rename := func(tx *bolt.Tx) error {
		to, err := tx.CreateBucket([]byte("new"))
		if err != nil {
			return err
		}
		if err := to.Put([]byte("x"), append(tx.Bucket([]byte("old")).Get([]byte("x")), '!')); err != nil {
			return err
		}
		return tx.DeleteBucket([]byte("old"))
	}
	failed := errors.New("failed")
	fail := func(*bolt.Tx) error { return failed }
	if _, err := open(path, time.Second, []func(*bolt.Tx) error{rename, fail}); !errors.Is(err, failed) {
		t.Errorf("%v", err)
	}
	if d, err := open(path, time.Second, nil); err != nil { // nothing was upgraded
		t.Error(err)
	} else {
		if got := records(t, d, "old"); got != "x=1;" {
			t.Errorf("after an upgrade that failed: %s", got)
		}
		d.Close()
	}
	ran := 0
	count := func(*bolt.Tx) error { ran++; return nil }
	for range 2 {
		d, err := open(path, time.Second, []func(*bolt.Tx) error{rename, count})
		if err != nil {
			t.Fatal(err)
		}
		if got := records(t, d, "new") + records(t, d, "old"); got != "x=1!;" {
			t.Errorf("upgraded: %s", got)
		}
		d.Close()
	}
	if ran != 1 {
		t.Errorf("the second upgrade ran %d times", ran)
	}
	_, err := open(path, time.Second, []func(*bolt.Tx) error{rename})
	if !errors.Is(err, ErrNewer) || !strings.Contains(err.Error(), "format 3, and this daemon knows up to 2") {
		t.Errorf("%v", err)
	}
}

// TestDamaged: whatever is wrong with the file, the directory is not opened, or not
// loaded, with an error that says what to do; and nothing is made of it.
func TestDamaged(t *testing.T) {
	whole := t.TempDir()
	d := mustOpen(t, whole)
	all := map[string]string{}
	for i := range 2000 {
		all[fmt.Sprintf("u%05d", i)] = strings.Repeat("x", 40)
	}
	put(t, d, "b", all)
	d.Close()
	good, err := os.ReadFile(filepath.Join(whole, fileName))
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{
		"text":      []byte("this is no file of fanoutd\n"),
		"one page":  good[:4096],
		"a half":    good[:len(good)/2],
		"two pages": good[:8192],
		"zeros":     append(bytes.Clone(good[:8192]), make([]byte, len(good)-8192)...),
		"ones":      append(bytes.Clone(good[:8192]), bytes.Repeat([]byte{0xff}, len(good)-8192)...),
		"no metas":  append(make([]byte, 8192), good[8192:]...),
	} {
		t.Run(name, func(t *testing.T) {
			path := t.TempDir()
			file := filepath.Join(path, fileName)
			if err := os.WriteFile(file, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			d, err := open(path, time.Second, nil)
			if err == nil {
				defer d.Close()
				err = d.Bucket("b").Load(func(string, []byte) error { return nil })
			}
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("got %v", err)
			}
			t.Log(err)
		})
	}
}

func TestNotWritable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(filepath.Join(file, "below")); err == nil || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("%v", err)
	}
}
