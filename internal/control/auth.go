package control

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
)

// maxKeys is how many keys are valid at once: the one in use, and during a
// rotation the next.
const maxKeys = 2

// guard decides who may call. It denies by default: whatever is not listed as
// open needs a key, methods that do not exist included.
type guard struct {
	keys [][sha256.Size]byte // hashes of the valid keys; empty: everybody may call
}

// open lists what needs no key. Probes of orchestrators cannot send headers,
// and they learn only whether this daemon serves.
var open = map[string]bool{
	healthv1.Health_Check_FullMethodName: true,
	healthv1.Health_Watch_FullMethodName: true,
}

func newGuard(keys []string, insecure bool) (*guard, error) {
	switch {
	case len(keys) == 0 && !insecure:
		return nil, errors.New("control: no key is set, and calls without one are not allowed")
	case len(keys) > 0 && insecure:
		return nil, errors.New("control: keys are set, and calls without one allowed: only one can be meant")
	case len(keys) > maxKeys:
		return nil, fmt.Errorf("control: %d keys are set, but at most %d can be valid at once", len(keys), maxKeys)
	}
	g := &guard{}
	for i, k := range keys {
		if k == "" || strings.TrimSpace(k) != k {
			return nil, fmt.Errorf("control: key %d is empty or has blanks around it", i+1)
		}
		g.keys = append(g.keys, sha256.Sum256([]byte(k)))
	}
	return g, nil
}

// check answers nil if the call may go on.
func (g *guard) check(ctx context.Context, method string) error {
	if len(g.keys) == 0 || open[method] {
		return nil
	}
	sent := metadata.ValueFromIncomingContext(ctx, "authorization")
	if len(sent) == 0 {
		return errUnauthenticated("KEY_MISSING", "send the metadata authorization: Bearer <key>")
	}
	scheme, key, _ := strings.Cut(sent[0], " ")
	if len(sent) > 1 || !strings.EqualFold(scheme, "bearer") || !g.knows(key) {
		return errUnauthenticated("KEY_INVALID", "the key in the metadata authorization is not valid")
	}
	return nil
}

// knows reports whether key is valid. How long it takes tells nothing about
// the keys: hashes are compared, in constant time, and always all of them.
func (g *guard) knows(key string) bool {
	sum := sha256.Sum256([]byte(key))
	found := 0
	for i := range g.keys {
		found |= subtle.ConstantTimeCompare(sum[:], g.keys[i][:])
	}
	return found == 1
}

func (g *guard) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if err := g.check(ctx, info.FullMethod); err != nil {
		return nil, err
	}
	return next(ctx, req)
}

func (g *guard) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if err := g.check(ss.Context(), info.FullMethod); err != nil {
		return err
	}
	return next(srv, ss)
}
