package engineio

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Cookie is what the cookie with a session's id is to be like, as in the reference's
// option of this name (engine.io/lib/server.ts). It is HttpOnly always.
type Cookie struct {
	// Name is the cookie's. Empty: there is none.
	Name string
	// Path is where browsers send it. Default "/".
	Path string
	// SameSite says which pages' requests carry it. Default lax. None needs Secure.
	SameSite http.SameSite
	// Secure keeps it to https.
	Secure bool
	// MaxAge is how long browsers keep it, in whole seconds. 0: until they end.
	MaxAge time.Duration
}

// with returns the cookie with this value, or nil if there is none.
func (c Cookie) with(value string) *http.Cookie {
	if c.Name == "" {
		return nil
	}
	return &http.Cookie{
		Name: c.Name, Value: value, Path: orDefault(c.Path, "/"), SameSite: orDefault(c.SameSite, http.SameSiteLaxMode),
		HttpOnly: true, Secure: c.Secure, MaxAge: int(c.MaxAge / time.Second),
	}
}

func (c Cookie) check() error {
	if err := CheckCookieName(c.Name); err != nil {
		return err
	}
	if c.Path != "" {
		if err := CheckCookiePath(c.Path); err != nil {
			return err
		}
	}
	if c.SameSite == http.SameSiteNoneMode && !c.Secure {
		return fmt.Errorf("browsers drop a cookie that says SameSite=None without Secure")
	}
	secure, root := NeededByCookieName(c.Name)
	switch {
	case secure && !c.Secure:
		return fmt.Errorf("browsers drop a cookie named %s without Secure", c.Name)
	case root && orDefault(c.Path, "/") != "/":
		return fmt.Errorf("browsers drop a cookie named %s with another path than /", c.Name)
	}
	return nil
}

// NeededByCookieName returns what browsers drop a cookie of this name without: Secure, and
// the path / (RFC 6265bis, 4.1.3). They take the prefixes in any case.
func NeededByCookieName(name string) (secure, root bool) {
	name = strings.ToLower(name)
	root = strings.HasPrefix(name, "__host-")
	return root || strings.HasPrefix(name, "__secure-") || strings.HasPrefix(name, "__http-"), root
}

// CheckCookieName reports why name cannot be a cookie's name (RFC 6265, 4.1.1),
// if so.
func CheckCookieName(name string) error {
	for i := range len(name) {
		c := name[i]
		switch {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '-', c == '_', c == '.':
		default:
			return fmt.Errorf("%q is no name for a cookie: letters, digits, and - _ . only", name)
		}
	}
	return nil
}

// CheckCookiePath reports why path cannot be a cookie's path (RFC 6265, 4.1.1 and
// 5.2.4), if so.
func CheckCookiePath(path string) error {
	if !strings.HasPrefix(path, "/") || strings.ContainsFunc(path, func(c rune) bool { return c <= ' ' || c == ';' || c > '~' }) {
		return fmt.Errorf("%q is no path for a cookie: it begins with / and has no blank nor semicolon", path)
	}
	return nil
}
