package engineio

import "fmt"

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
