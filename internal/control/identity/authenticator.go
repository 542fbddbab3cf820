package identity

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Why nobody knows who calls.
var (
	// ErrKeyMissing is the answer to a call without a key.
	ErrKeyMissing = errors.New("no key: send authorization: Bearer <key>")

	// ErrKeyInvalid is the answer to a call with a key that is not valid, or
	// with something else in its place.
	ErrKeyInvalid = errors.New("the key in authorization is not valid")

	// ErrCertificateUnknown is the answer to a call without a key whose certificate has
	// no name that is known.
	ErrCertificateUnknown = errors.New("nobody is known by a name in the certificate")

	// ErrKeyEnded is what a stream ends with whose key, or certificate, is valid no
	// longer, or has other rights now.
	ErrKeyEnded = errors.New("the key that the call began with is valid no longer, or has other rights now")
)

// Authenticator decides who a caller is. All methods may be called at once.
type Authenticator struct {
	credentials atomic.Pointer[[]*credential] // empty: everybody may call, for good

	replacing sync.Mutex // held by Replace
}

// NewAuthenticator returns an Authenticator for keys. Without keys everybody may
// call, which insecure has to say; it is dangerous on a listener that others can
// reach. Errors do not repeat the keys.
func NewAuthenticator(keys []Key, insecure bool) (*Authenticator, error) {
	switch {
	case len(keys) == 0 && !insecure:
		return nil, errors.New("no key is set, and calls without one are not allowed")
	case len(keys) > 0 && insecure:
		return nil, errors.New("keys are set, and calls without one allowed: only one can be meant")
	}
	list, err := newCredentials(keys)
	if err != nil {
		return nil, err
	}
	a := &Authenticator{}
	a.credentials.Store(&list)
	return a, nil
}

// Replace makes these the keys, of which there has to be one: calls that bring
// another are refused from then on, and the callers that came with one that is gone, or
// has other rights now, are told by [Principal.Ended]. It reports whether they differ
// from those before; after an error these stay. Errors do not repeat the keys.
func (a *Authenticator) Replace(keys []Key) (changed bool, err error) {
	a.replacing.Lock()
	defer a.replacing.Unlock()
	return a.replaceLocked(keys)
}

// Reread is Replace by what read returns, and returns how many keys those are. No other
// replacing comes between the reading and the replacing, so that what was read first
// does not replace what was read later.
func (a *Authenticator) Reread(read func() ([]Key, error)) (keys int, changed bool, err error) {
	a.replacing.Lock()
	defer a.replacing.Unlock()
	next, err := read()
	if err != nil {
		return 0, false, err
	}
	changed, err = a.replaceLocked(next)
	return len(next), changed, err
}

func (a *Authenticator) replaceLocked(keys []Key) (changed bool, err error) {
	if len(keys) == 0 {
		return false, errors.New("there is no key")
	}
	next, err := newCredentials(keys)
	if err != nil {
		return false, err
	}
	before := *a.credentials.Load()
	for i, c := range next {
		if at := slices.IndexFunc(before, c.equal); at >= 0 {
			next[i] = before[at]
		}
	}
	a.credentials.Store(&next)
	for _, c := range before {
		if !slices.Contains(next, c) {
			close(c.ended)
		}
	}
	return !slices.Equal(before, next), nil
}

// Authenticate returns the caller who sent these values of the HTTP header or gRPC
// metadata "authorization", and showed a certificate with these names, which has been
// verified. A caller that sent the former is who its key says, whatever its certificate
// does. The error is one of those above.
func (a *Authenticator) Authenticate(authorization, certificate []string) (Principal, error) {
	list := *a.credentials.Load()
	switch {
	case len(list) == 0:
		return Unlimited(""), nil
	case len(authorization) > 0:
		return byKey(list, authorization)
	case len(certificate) > 0:
		return byCertificate(list, certificate)
	}
	return Principal{}, ErrKeyMissing
}

// byKey returns who sent this header. How long it takes tells nothing about the keys:
// hashes are compared, in constant time, and always all of them.
func byKey(list []*credential, authorization []string) (Principal, error) {
	scheme, key, _ := strings.Cut(authorization[0], " ")
	if len(authorization) > 1 || key == "" || !strings.EqualFold(scheme, "bearer") {
		return Principal{}, ErrKeyInvalid
	}
	sum := sha256.Sum256([]byte(key))
	found := -1
	for i, c := range list {
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(sum[:], c.hash[:]), i, found)
	}
	if found < 0 {
		return Principal{}, ErrKeyInvalid
	}
	return list[found].principal(""), nil
}

// byCertificate returns who showed a certificate with these names: the first of the
// list that one of them matches.
func byCertificate(list []*credential, names []string) (Principal, error) {
	for _, c := range list {
		for _, name := range names {
			if c.certificate != "" && matchesAny([]string{c.certificate}, name) {
				return c.principal(name), nil
			}
		}
	}
	return Principal{}, ErrCertificateUnknown
}
