package forward

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
	"time"
)

// Header marks a request that another node has handed over.
const Header = "Fanoutd-Forwarded"

// markLife is how long a mark is believed, either way: clocks differ.
const markLife = time.Minute

// KeyOf derives the key of the marks from what all nodes know.
func KeyOf(secret []byte, cluster string) ([]byte, error) {
	if len(secret) == 0 {
		secret = []byte(cluster) // proves nothing
	}
	return hkdf.Key(sha256.New, secret, nil, "fanoutd forwarded requests of "+cluster, sha256.Size)
}

// mark says that a request of a session came from a client's address.
type mark struct {
	at     time.Time // in seconds
	owner  string    // epoch of the node that it is for
	client string    // host:port
	secure bool      // the client came by TLS
}

// Words of a mark for how the client came.
const (
	byTLS       = "tls"
	inPlainText = "plain"
)

// sign returns the mark as the header has it. It is bound to the session's id.
func (m *mark) sign(key []byte, sid string) string {
	by := inPlainText
	if m.secure {
		by = byTLS
	}
	text := strconv.FormatInt(m.at.Unix(), 10) + " " + m.owner + " " + m.client + " " + by
	return text + " " + base64.RawURLEncoding.EncodeToString(proof(key, text, sid))
}

func proof(key []byte, text, sid string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(strconv.Itoa(len(text)) + " " + text + sid))
	return h.Sum(nil)
}

// maxMark bounds a mark, in bytes.
const maxMark = 256

// parseMark reads a mark that a node of the cluster made, for this session, a moment ago.
func parseMark(key []byte, header, sid string, now time.Time) (m mark, ok bool) {
	if len(header) > maxMark {
		return mark{}, false
	}
	i := strings.LastIndexByte(header, ' ')
	if i < 0 {
		return mark{}, false
	}
	text := header[:i]
	given, err := base64.RawURLEncoding.DecodeString(header[i+1:])
	if err != nil || !hmac.Equal(given, proof(key, text, sid)) {
		return mark{}, false
	}
	parts := strings.Split(text, " ")
	if len(parts) != 4 {
		return mark{}, false
	}
	seconds, err := strconv.ParseInt(parts[0], 10, 64)
	if err != nil {
		return mark{}, false
	}
	m = mark{at: time.Unix(seconds, 0), owner: parts[1], client: parts[2], secure: parts[3] == byTLS}
	if age := now.Sub(m.at); age > markLife || age < -markLife {
		return mark{}, false
	}
	return m, true
}
