package datadir

import (
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestFullDisk: what there is no room for is not done, and the rest stays as it was. That
// files may not grow stands for a full disk.
func TestFullDisk(t *testing.T) {
	path := t.TempDir()
	d := mustOpen(t, path)
	put(t, d, "b", map[string]string{"x": "1"})
	info, err := os.Stat(filepath.Join(path, fileName))
	if err != nil {
		t.Fatal(err)
	}
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: uint64(info.Size()), Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	err = d.Bucket("b").Update(map[string][]byte{"x": []byte("2"), "y": []byte(strings.Repeat("y", 1<<20))}, nil)
	if e := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); e != nil {
		t.Fatal(e)
	}
	if err == nil || !strings.Contains(err.Error(), syscall.EFBIG.Error()) {
		t.Errorf("%v", err)
	}
	if got := records(t, d, "b"); got != "x=1;" {
		t.Errorf("got %.40s", got)
	}
	put(t, d, "b", map[string]string{"x": "3"})
	d.Close()
	if got := records(t, mustOpen(t, path), "b"); got != "x=3;" {
		t.Errorf("got %.40s", got)
	}
}
