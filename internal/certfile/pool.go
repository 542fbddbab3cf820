package certfile

import (
	"crypto/x509"
	"errors"
)

// Pool is certificates of authorities, as they are in their file. All methods may be
// called at once.
type Pool struct {
	files files[*x509.CertPool]
}

// LoadPool reads certificates of authorities.
func LoadPool(file string) (*x509.CertPool, error) {
	p := newPool("", file)
	if err := p.files.open(); err != nil {
		return nil, err
	}
	return p.Authorities(), nil
}

func newPool(who, file string) *Pool {
	return &Pool{files[*x509.CertPool]{who: who, paths: []string{file}, parse: parsePool}}
}

func parsePool(texts [][]byte) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(texts[0]) {
		return nil, errors.New("it has no certificate in PEM")
	}
	return pool, nil
}

// Authorities returns those that the file has now, or had last.
func (p *Pool) Authorities() *x509.CertPool { return *p.files.now.Load() }
