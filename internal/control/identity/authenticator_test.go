package identity

import (
	"context"
	"crypto/sha256"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func TestAuthenticateHeader(t *testing.T) {
	one, two := Key{Name: "a", Secret: "one"}, Key{Name: "b", Secret: "two"}
	tests := []struct {
		name   string
		keys   []Key
		header []string
		want   string // the caller's name
		err    error
	}{
		{"no keys are set", nil, nil, "", nil},
		{"no keys are set, one is sent", nil, []string{"Bearer one"}, "", nil},
		{"no keys are set, nonsense is sent", nil, []string{"x", ""}, "", nil},
		{"no header", []Key{one}, nil, "", ErrKeyMissing},
		{"the key", []Key{one}, []string{"Bearer one"}, "a", nil},
		{"the scheme in lower case", []Key{one}, []string{"bearer one"}, "a", nil},
		{"the first of two", []Key{one, two}, []string{"Bearer one"}, "a", nil},
		{"the second of two", []Key{one, two}, []string{"Bearer two"}, "b", nil},
		{"the next one of the same caller", []Key{one, {Name: "a", Secret: "next"}}, []string{"Bearer next"}, "a", nil},
		{"another key", []Key{one, two}, []string{"Bearer three"}, "", ErrKeyInvalid},
		{"part of the key", []Key{one}, []string{"Bearer on"}, "", ErrKeyInvalid},
		{"an empty key", []Key{one}, []string{"Bearer "}, "", ErrKeyInvalid},
		{"an empty header", []Key{one}, []string{""}, "", ErrKeyInvalid},
		{"no scheme", []Key{one}, []string{"one"}, "", ErrKeyInvalid},
		{"another scheme", []Key{one}, []string{"Basic one"}, "", ErrKeyInvalid},
		{"two headers", []Key{one}, []string{"Bearer one", "Bearer one"}, "", ErrKeyInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, err := NewAuthenticator(tt.keys, len(tt.keys) == 0)
			if err != nil {
				t.Fatal(err)
			}
			got, err := a.Authenticate(tt.header, nil)
			if got.Name != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("got %q, %v, want %q, %v", got.Name, err, tt.want, tt.err)
			}
		})
	}
}

func TestNewAuthenticatorRefuses(t *testing.T) {
	tests := []struct {
		name     string
		keys     []Key
		insecure bool
	}{
		{"neither keys nor insecure", nil, false},
		{"keys and insecure", []Key{{Secret: "secret"}}, true},
		{"an empty key", []Key{{Secret: "secret"}, {}}, false},
		{"a key and its hash", []Key{{Secret: "secret", Hash: [32]byte{1}}}, false},
		{"a key and a certificate", []Key{{Secret: "secret", Certificate: "c"}}, false},
		{"one certificate twice", []Key{{Certificate: "c"}, {Name: "a", Certificate: "c"}}, false},
		{"blanks around a key", []Key{{Secret: "secret "}}, false},
		{"one key twice", []Key{{Name: "a", Secret: "secret"}, {Secret: "secret2"}, {Name: "b", Secret: "secret"}}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, err := NewAuthenticator(tt.keys, tt.insecure)
			if a != nil || err == nil || strings.Contains(err.Error(), "secret") {
				t.Errorf("got %v, %v, want an error without the keys", a, err)
			}
		})
	}
}

// Replaced keys hold from the next call on; bad ones leave the old ones.
func TestReplace(t *testing.T) {
	one, two := Key{Name: "a", Secret: "secret one"}, Key{Name: "b", Secret: "secret two"}
	a, err := NewAuthenticator([]Key{one}, false)
	if err != nil {
		t.Fatal(err)
	}
	accepts := func(k Key) bool {
		got, err := a.Authenticate([]string{"Bearer " + k.Secret}, nil)
		return err == nil && got.Name == k.Name
	}
	for i, keys := range [][]Key{nil, {{}}, {two, {Secret: " secret"}}} {
		if changed, err := a.Replace(keys); changed || err == nil || strings.Contains(err.Error(), "secret") || !accepts(one) || accepts(two) {
			t.Errorf("bad keys %d: changed %v, %v", i, changed, err)
		}
	}
	for _, tt := range []struct {
		keys     []Key
		changed  bool
		one, two bool
	}{{[]Key{one}, false, true, false}, {[]Key{one, two}, true, true, true}, {[]Key{two}, true, false, true}} {
		if changed, err := a.Replace(tt.keys); changed != tt.changed || err != nil || accepts(one) != tt.one || accepts(two) != tt.two {
			t.Errorf("%d keys: changed %v, %v; takes one %v, two %v", len(tt.keys), changed, err, accepts(one), accepts(two))
		}
	}
}

// A certificate counts where no key is sent.
func TestCertificates(t *testing.T) {
	a, err := NewAuthenticator([]Key{
		{Name: "key", Secret: "one"},
		{Name: "hashed", Hash: sha256.Sum256([]byte("two"))},
		{Name: "worker", Certificate: "worker-*.internal", Rights: Rights{Scopes: []Scope{Consume}}},
		{Certificate: "spiffe://prod/*"},
	}, false)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name          string
		authorization []string
		certificate   []string
		want          string
		err           error
	}{
		{"a name", nil, []string{"worker-1.internal"}, "worker", nil},
		{"the second name", nil, []string{"host", "worker-1.internal"}, "worker", nil},
		{"a name of its own", nil, []string{"host", "spiffe://prod/shop"}, "spiffe://prod/shop", nil},
		{"another name", nil, []string{"worker.internal"}, "", ErrCertificateUnknown},
		{"nothing", nil, nil, "", ErrKeyMissing},
		{"a hashed key", []string{"Bearer two"}, nil, "hashed", nil},
		{"the key comes first", []string{"Bearer one"}, []string{"worker-1.internal"}, "key", nil},
		{"a bad key is not made good", []string{"Bearer x"}, []string{"worker-1.internal"}, "", ErrKeyInvalid},
		{"a certificate's name is no key", []string{"Bearer worker-1.internal"}, nil, "", ErrKeyInvalid},
		{"an empty name", nil, []string{""}, "", ErrCertificateUnknown},
	}
	for _, tt := range tests {
		got, err := a.Authenticate(tt.authorization, tt.certificate)
		if got.Name != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%s: got %q, %v, want %q, %v", tt.name, got.Name, err, tt.want, tt.err)
		}
	}
	if p, _ := a.Authenticate(nil, []string{"worker-1.internal"}); p.Has(Emit) || !p.Has(Consume) {
		t.Error("the certificate has other scopes than its entry")
	}
}

// Callers whose key goes, or gets other rights, are told; others are not.
func TestEnded(t *testing.T) {
	stays := Key{Name: "stays", Secret: "one"}
	goes := Key{Name: "goes", Secret: "two"}
	changes := Key{Name: "changes", Secret: "three", Rights: Rights{Rooms: []string{"a", "b"}}}
	a, err := NewAuthenticator([]Key{stays, goes, changes}, false)
	if err != nil {
		t.Fatal(err)
	}
	callers := map[string]Principal{}
	for _, secret := range []string{"one", "two", "three"} {
		p, err := a.Authenticate([]string{"Bearer " + secret}, nil)
		if err != nil {
			t.Fatal(err)
		}
		callers[p.Name] = p
	}
	told := func(name string) bool {
		select {
		case <-callers[name].Ended():
			return true
		default:
			return false
		}
	}
	if changed, err := a.Replace([]Key{goes, stays, changes}); !changed || err != nil || told("stays") || told("goes") || told("changes") {
		t.Error("an other order ended something")
	}
	changes.Rooms = []string{"a"}
	if _, err := a.Replace([]Key{{Name: "new", Secret: "four"}, stays, changes}); err != nil {
		t.Fatal(err)
	}
	if told("stays") || !told("goes") || !told("changes") {
		t.Errorf("told: stays %v, goes %v, changes %v", told("stays"), told("goes"), told("changes"))
	}
	if _, err := a.Replace([]Key{stays}); err != nil || told("stays") {
		t.Errorf("%v; told: stays %v", err, told("stays"))
	}
	if Unlimited("").Ended() != nil {
		t.Error("who needs no key can lose it")
	}
}

func TestContext(t *testing.T) {
	if got := FromContext(context.Background()); got != (Principal{}) {
		t.Errorf("got %v from a context without caller", got)
	}
	want := Principal{Name: "a"}
	if got := FromContext(NewContext(t.Context(), want)); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Keys that were read before others do not replace those.
func TestRereadOneAfterTheOther(t *testing.T) {
	before, after := Key{Name: "a", Secret: "secret one"}, Key{Name: "b", Secret: "secret two"}
	a, err := NewAuthenticator([]Key{before}, false)
	if err != nil {
		t.Fatal(err)
	}
	reading, later := make(chan struct{}), make(chan struct{})
	var overtaken atomic.Bool
	var both sync.WaitGroup
	both.Go(func() {
		_, _, err := a.Reread(func() ([]Key, error) {
			close(reading)
			for range 10_000 { // time for the other to overtake, if it may
				select {
				case <-later:
					overtaken.Store(true)
				default:
					runtime.Gosched()
				}
			}
			return []Key{before}, nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	both.Go(func() {
		<-reading
		n, changed, err := a.Reread(func() ([]Key, error) {
			close(later)
			return []Key{after}, nil
		})
		if n != 1 || !changed || err != nil {
			t.Errorf("%d keys, changed %v, %v", n, changed, err)
		}
	})
	both.Wait()
	if overtaken.Load() {
		t.Error("the keys were read while others were being read")
	}
	if _, err := a.Authenticate([]string{"Bearer " + after.Secret}, nil); err != nil {
		t.Errorf("the keys that were read last do not hold: %v", err)
	}
	if _, _, err := a.Reread(func() ([]Key, error) { return nil, errors.New("unreadable") }); err == nil {
		t.Error("no error")
	}
}
