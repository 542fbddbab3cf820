package token

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Bounds of what a token may hold and cost.
const (
	// maxToken bounds a token in bytes, before anything is parsed. Proxies and
	// servers bound header lines to about as much.
	maxToken = 8 << 10

	maxRooms = 256
	maxName  = 1024    // bytes of a user or of a room's name
	maxData  = 4 << 10 // bytes of the data as JSON; kept for as long as the connection

	// leeway is how far the issuer's clock may be ahead of ours, so that a token
	// is not refused for being fresh. An expiry has none: nothing outlives it.
	leeway = 30 * time.Second
)

// DefaultUserClaim names who a token is for (RFC 7519, 4.1.2).
const DefaultUserClaim = "sub"

// Options of [Verifier]. There is one source of keys: Secret, PublicKey or JWKS.
type Options struct {
	// Algorithms are those accepted, by their names in RFC 7518 and 8037: at
	// least one. They fit the key; HMAC with anything but a Secret is refused,
	// for it would take the public key for a secret.
	Algorithms []string

	// Secret is the key of HMAC, as long as the hash at least (RFC 7518, 3.2).
	Secret []byte
	// PublicKey is one RSA, ECDSA or Ed25519 public key in PEM.
	PublicKey []byte
	// JWKS is the URL of a JWK Set (RFC 7517). It is https, or http on
	// loopback; redirects are not followed.
	JWKS string

	// Issuer is what iss must be. Required.
	Issuer string
	// Audience is what aud must name one of. At least one is required.
	Audience []string

	// UserClaim names the claim that holds the user: a string that is not empty,
	// or an integer. A token without it is refused. Default: [DefaultUserClaim].
	UserClaim string

	// Locations says where tokens are looked for. Default: [DefaultLocations].
	Locations []Location

	// Refresh is how often the JWK Set is fetched: a key that its issuer has
	// withdrawn is good for that long, and for as long as the URL does not
	// answer. Default 15 minutes.
	Refresh time.Duration
	// KeyWait bounds how long a decision waits for a JWK Set to be fetched. Default
	// 5 s. The connection's other namespaces are not held up meanwhile.
	KeyWait time.Duration
	// Transport carries the fetches. Default: one like http.DefaultTransport.
	Transport http.RoundTripper
	// Logger hears how fetching goes, and of no token. Default: slog.Default().
	Logger *slog.Logger
}

// errKeySource is a configuration without a key, or with several.
var errKeySource = errors.New("one source of keys is needed: a secret, a public key or a JWK Set URL")

// withDefaults returns o complete, or says what is wrong with it.
func (o Options) withDefaults() (Options, error) {
	if o.UserClaim == "" {
		o.UserClaim = DefaultUserClaim
	}
	if len(o.Locations) == 0 {
		o.Locations = DefaultLocations()
	}
	if o.Refresh == 0 {
		o.Refresh = defaultRefresh
	}
	if o.KeyWait == 0 {
		o.KeyWait = fetchTimeout
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	switch {
	case o.Issuer == "":
		return o, errors.New("no issuer is set")
	case len(o.Audience) == 0 || slices.Contains(o.Audience, ""):
		return o, errors.New("no audience is set, or an empty one")
	case o.Refresh < minRequested:
		return o, fmt.Errorf("the refresh interval is below %v", minRequested)
	case len(o.Algorithms) == 0:
		return o, fmt.Errorf("no algorithm is set; there are %s", strings.Join(Algorithms(), ", "))
	}
	for _, l := range o.Locations {
		if !slices.Contains(Locations(), l) {
			return o, fmt.Errorf("no location of tokens is called %.16q", l)
		}
	}
	return o, nil
}

// keySource returns where the keys come from.
func (o Options) keySource() (keySource, error) {
	var sources []keySource
	if len(o.Secret) > 0 {
		sources = append(sources, fixedKey{public: o.Secret})
	}
	if len(o.PublicKey) > 0 {
		public, err := parsePublic(o.PublicKey)
		if err != nil {
			return nil, err
		}
		sources = append(sources, fixedKey{public: public})
	}
	if o.JWKS != "" {
		if err := checkURL(o.JWKS); err != nil {
			return nil, err
		}
		sources = append(sources, newKeySet(o))
	}
	if len(sources) != 1 {
		return nil, errKeySource
	}
	for _, alg := range o.Algorithms {
		if err := sources[0].check(alg); err != nil {
			return nil, fmt.Errorf("algorithm %.16q: %w", alg, err)
		}
	}
	return sources[0], nil
}

// checkURL keeps the keys from being read over a connection that others can change.
func checkURL(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "" || u.Fragment != "":
		return errors.New("the JWK Set URL is not like https://issuer.example.com/jwks.json")
	case u.User != nil:
		return errors.New("the JWK Set URL holds a password: a JWK Set is public")
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && (u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback()):
		return nil
	}
	return errors.New("the JWK Set URL is not https: whoever is on the way could add a key")
}
