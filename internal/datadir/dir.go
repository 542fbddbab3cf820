package datadir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// fileName is the one file of the directory.
const fileName = "fanoutd.db"

// lockWait is for how long a process that ends may keep the directory from one that starts.
const lockWait = 5 * time.Second

// The bucket of the directory itself, and its keys.
var (
	ownBucket = []byte("fanoutd")
	formatKey = []byte("format") // in decimal
)

// firstFormat is the format of a directory on which nothing was upgraded.
const firstFormat = 1

// upgrades make of a directory of one format one of the next: the first makes of format 1
// one of format 2.
var upgrades []func(*bolt.Tx) error

// Errors of [Open] that a person has to do something about; it wraps them.
var (
	ErrLocked  = errors.New("another process has it open: a daemon that still runs, or is slow to end; each needs a directory of its own")
	ErrNewer   = errors.New("it was written by a newer daemon: run that one, or begin anew with an empty directory, without the blocks that are in this one")
	ErrDamaged = errors.New("it is damaged, or no file of fanoutd: put a copy back, or move it away and begin anew, without the blocks that were in it")
)

// Dir is an open directory. It is safe for concurrent use.
type Dir struct {
	file string
	db   *bolt.DB
}

// Open opens a directory, and makes it if it is not there. While another process has it
// open it waits for some seconds.
func Open(path string) (*Dir, error) { return open(path, lockWait, upgrades) }

func open(path string, wait time.Duration, upgrades []func(*bolt.Tx) error) (*Dir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	d := &Dir{file: filepath.Join(path, fileName)}
	err := d.guard(func() (err error) {
		d.db, err = bolt.Open(d.file, 0o600, &bolt.Options{Timeout: wait})
		return err
	})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("%s: %w", d.file, ErrLocked)
	case errors.Is(err, ErrDamaged):
		return nil, err
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch), err != nil && d.short():
		return nil, d.damaged(err)
	case err != nil:
		return nil, err
	}
	if err := d.guard(func() error { return d.upgrade(upgrades) }); err != nil {
		_ = d.Close()
		return nil, err
	}
	return d, nil
}

// guard returns what f panics with as an error: a page that is no page, or is missing.
func (d *Dir) guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if v := recover(); v != nil {
			err = d.damaged(fmt.Errorf("%v", v))
		}
	}()
	return f()
}

// short reports whether the file was cut off where not even its beginning is whole.
func (d *Dir) short() bool {
	i, err := os.Stat(d.file)
	return err == nil && i.Size() > 0 && i.Size() < 2*int64(os.Getpagesize())
}

func (d *Dir) damaged(err error) error { return fmt.Errorf("%s: %w (%w)", d.file, ErrDamaged, err) }

// upgrade brings the directory to the latest format, all the way or not at all.
func (d *Dir) upgrade(upgrades []func(*bolt.Tx) error) error {
	latest := firstFormat + len(upgrades)
	format := latest
	err := d.db.View(func(tx *bolt.Tx) error {
		own := tx.Bucket(ownBucket)
		if own == nil {
			format = 0 // it is new
			return nil
		}
		var err error
		format, err = strconv.Atoi(string(own.Get(formatKey)))
		if err == nil && format < firstFormat {
			err = errors.New("there is no such format")
		}
		return err
	})
	switch {
	case err != nil:
		return d.damaged(err)
	case format > latest:
		return fmt.Errorf("%s: %w (it has format %d, and this daemon knows up to %d)", d.file, ErrNewer, format, latest)
	case format == latest:
		return nil
	}
	return d.db.Update(func(tx *bolt.Tx) error {
		if format >= firstFormat {
			for i, up := range upgrades[format-firstFormat:] {
				if err := up(tx); err != nil {
					return fmt.Errorf("%s: upgrading it to format %d: %w", d.file, format+i+1, err)
				}
			}
		}
		own, err := tx.CreateBucketIfNotExists(ownBucket)
		if err != nil {
			return err
		}
		return own.Put(formatKey, []byte(strconv.Itoa(latest)))
	})
}

// Close lets others open the directory. It is not used any more.
func (d *Dir) Close() error { return d.db.Close() }

// Bucket is the records of one kind.
type Bucket struct {
	dir  *Dir
	name []byte
}

// Bucket returns the records of this kind.
func (d *Dir) Bucket(name string) *Bucket { return &Bucket{d, []byte(name)} }

// Load calls f with each record, in the order of keys, until f fails. f may keep value.
func (b *Bucket) Load(f func(key string, value []byte) error) error {
	return b.dir.guard(func() error {
		return b.dir.db.View(func(tx *bolt.Tx) error {
			all := tx.Bucket(b.name)
			if all == nil {
				return nil
			}
			return all.ForEach(func(k, v []byte) error {
				if err := f(string(k), append([]byte(nil), v...)); err != nil {
					return b.dir.damaged(err)
				}
				return nil
			})
		})
	})
}

// Update writes and removes records, all or none; they are on the disk when it returns.
func (b *Bucket) Update(put map[string][]byte, remove []string) error {
	return b.dir.guard(func() error {
		return b.dir.db.Update(func(tx *bolt.Tx) error {
			all, err := tx.CreateBucketIfNotExists(b.name)
			if err != nil {
				return err
			}
			for key, value := range put {
				if err := all.Put([]byte(key), value); err != nil {
					return err
				}
			}
			for _, key := range remove {
				if err := all.Delete([]byte(key)); err != nil {
					return err
				}
			}
			return nil
		})
	})
}
