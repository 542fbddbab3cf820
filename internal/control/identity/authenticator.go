package identity

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
)

var (
	// ErrKeyMissing is the answer to a call without a key.
	ErrKeyMissing = errors.New("no key: send authorization: Bearer <key>")

	// ErrKeyInvalid is the answer to a call with a key that is not valid, or
	// with something else in its place.
	ErrKeyInvalid = errors.New("the key in authorization is not valid")
)

// Key is one bearer key.
type Key struct {
	// Name is the caller's name. Several keys may have the same one, so that a
	// caller stays itself during a rotation.
	Name string

	// Secret is what the caller sends.
	Secret string

	// Scopes are those that the caller has. Empty: all.
	Scopes []Scope
}

// Authenticator decides who a caller is. All methods may be called at once.
type Authenticator struct {
	keys atomic.Pointer[[]hashedKey] // empty: everybody may call, for good
}

type hashedKey struct {
	name   string
	hash   [sha256.Size]byte
	rights rights
}

func (k *hashedKey) equal(o *hashedKey) bool {
	return k.name == o.name && k.hash == o.hash && slices.Equal(k.rights.scopes, o.rights.scopes)
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
	hashed, err := hashKeys(keys)
	if err != nil {
		return nil, err
	}
	a := &Authenticator{}
	a.keys.Store(&hashed)
	return a, nil
}

// Replace makes these the keys, of which there has to be one: calls that bring
// another are refused from then on. It reports whether they differ from those
// before; after an error these stay. Errors do not repeat the keys.
func (a *Authenticator) Replace(keys []Key) (changed bool, err error) {
	if len(keys) == 0 {
		return false, errors.New("there is no key")
	}
	hashed, err := hashKeys(keys)
	if err != nil {
		return false, err
	}
	before := *a.keys.Swap(&hashed)
	return !slices.EqualFunc(before, hashed, func(a, b hashedKey) bool { return a.equal(&b) }), nil
}

func hashKeys(keys []Key) (hashed []hashedKey, err error) {
	seen := map[[sha256.Size]byte]int{}
	for i, k := range keys {
		if k.Secret == "" || strings.TrimSpace(k.Secret) != k.Secret {
			return nil, fmt.Errorf("key %d is empty or has blanks around it", i+1)
		}
		hash := sha256.Sum256([]byte(k.Secret))
		if seen[hash] > 0 {
			return nil, fmt.Errorf("keys %d and %d are the same", seen[hash], i+1)
		}
		seen[hash] = i + 1
		hashed = append(hashed, hashedKey{name: k.Name, hash: hash, rights: rights{scopes: k.Scopes}})
	}
	return hashed, nil
}

// AuthenticateHeader returns the caller who sent these values of the HTTP header
// or gRPC metadata "authorization". The error is ErrKeyMissing or ErrKeyInvalid.
func (a *Authenticator) AuthenticateHeader(values []string) (Principal, error) {
	if len(values) == 0 {
		return a.authenticate("")
	}
	scheme, key, _ := strings.Cut(values[0], " ")
	if len(*a.keys.Load()) > 0 && (len(values) > 1 || key == "" || !strings.EqualFold(scheme, "bearer")) {
		return Principal{}, ErrKeyInvalid
	}
	return a.authenticate(key)
}

// authenticate returns the caller with this key; empty: the call brought none.
// The error is ErrKeyMissing or ErrKeyInvalid. How long it takes tells nothing
// about the keys: hashes are compared, in constant time, and always all of them.
func (a *Authenticator) authenticate(bearer string) (Principal, error) {
	keys := *a.keys.Load()
	if len(keys) == 0 {
		return Unlimited(""), nil
	}
	if bearer == "" {
		return Principal{}, ErrKeyMissing
	}
	sum := sha256.Sum256([]byte(bearer))
	found := -1
	for i := range keys {
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(sum[:], keys[i].hash[:]), i, found)
	}
	if found < 0 {
		return Principal{}, ErrKeyInvalid
	}
	return Principal{Name: keys[found].name, rights: &keys[found].rights}, nil
}
