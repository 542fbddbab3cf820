package certfile

import (
	"context"
	"crypto/x509"
	"log/slog"
	"os"
	"time"
)

// interval is the time between two looks at the files. They are looked into, rather than
// watched: Kubernetes replaces a symbolic link to a directory above them, and network
// file systems tell nobody.
const interval = 2 * time.Second

// Watcher reads files again. Files are added before Run; Expiries may be called at
// any time after that.
type Watcher struct {
	log   *slog.Logger
	pairs []*Pair
	pools []*Pool
}

// NewWatcher returns a Watcher of no files.
func NewWatcher(log *slog.Logger) *Watcher { return &Watcher{log: log} }

// Pair adds a certificate and its key; who says in the log whose it is. A certificate
// that is out of date is logged, and no error.
func (w *Watcher) Pair(who, certFile, keyFile string) (*Pair, error) {
	p := newPair(who, certFile, keyFile)
	if err := p.files.open(); err != nil {
		return nil, err
	}
	p.files.warn(w.log)
	w.pairs = append(w.pairs, p)
	return p, nil
}

// Pool adds certificates of authorities; who says in the log whose they are.
func (w *Watcher) Pool(who, file string) (*Pool, error) {
	p := newPool(who, file)
	if err := p.files.open(); err != nil {
		return nil, err
	}
	w.pools = append(w.pools, p)
	return p, nil
}

// Run reads the files again every few seconds, and at once when again receives, until
// ctx ends.
func (w *Watcher) Run(ctx context.Context, again <-chan os.Signal) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		asked := false
		select {
		case <-ticker.C:
		case <-again:
			asked = true
		case <-ctx.Done():
			return
		}
		for _, p := range w.pairs {
			p.files.reload(asked, w.log)
		}
		for _, p := range w.pools {
			p.files.reload(asked, w.log)
		}
	}
}

// Expiry is when a certificate expires.
type Expiry struct {
	Who string
	At  time.Time
}

// Expiries returns when each certificate that is shown to peers expires, or the one
// before it on the way to its authority that does so first.
func (w *Watcher) Expiries() []Expiry {
	var all []Expiry
	for _, p := range w.pairs {
		at := p.Certificate().Leaf.NotAfter
		for _, der := range p.Certificate().Certificate[1:] {
			if c, err := x509.ParseCertificate(der); err == nil && c.NotAfter.Before(at) {
				at = c.NotAfter
			}
		}
		all = append(all, Expiry{p.files.who, at})
	}
	return all
}
