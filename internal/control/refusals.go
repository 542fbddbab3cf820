package control

import (
	"context"
	"errors"
	"maps"
	"net"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"

	"github.com/fanoutd/fanoutd/internal/control/identity"
)

// maxLoggedMethod bounds what a line of the log repeats of a method, in bytes: one that
// does not exist may be as long as a header.
const maxLoggedMethod = 128

// refusalReasons are the reasons of the ErrorInfo of calls that are refused for who calls.
// KEY_ENDED is none of them: what ends so was let in.
var refusalReasons = []reason{keyMissing, keyInvalid, certificateUnknown, scopeMissing, keyLimited, originRefused, hostRefused}

// Refused counts and logs that a call from this address was refused for who calls it.
// Any other err is none of its business.
func (r *ErrorReporter) Refused(ctx context.Context, method string, remote net.Addr, err error) {
	reason := refusalReason(err)
	if reason == "" {
		return
	}
	suppressed, allowed := r.refused(reason)
	if !allowed {
		return
	}
	args := []any{"reason", reason, "method", method[:min(len(method), maxLoggedMethod)]}
	if missing := (*identity.ScopeError)(nil); errors.As(err, &missing) {
		args = append(args, "scope", string(missing.Scope))
	}
	if caller := identity.FromContext(ctx).Name; caller != "" {
		args = append(args, "caller", caller)
	}
	if remote != nil {
		args = append(args, "remote", remote.String())
	}
	if suppressed > 0 {
		args = append(args, "suppressed", suppressed)
	}
	r.log.WarnContext(ctx, "refused a call of the control API", args...)
}

// refused counts a refusal; see allow for its results.
func (r *ErrorReporter) refused(reason string) (suppressed int, allowed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refusals[reason]++
	return r.allowLocked(reason)
}

// Refusals returns how many calls were refused for who called, by the reason of their
// ErrorInfo.
func (r *ErrorReporter) Refusals() map[string]uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.refusals)
}

// refusalReason returns the reason that the caller of a refused call is told, empty if
// err is something else.
func refusalReason(err error) string {
	if err == nil || !isRefusal(err) {
		return ""
	}
	coded, _ := codeError(err)
	for _, detail := range status.Convert(coded).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info.GetReason()
		}
	}
	return ""
}

func isRefusal(err error) bool {
	return errors.As(err, new(*identity.ScopeError)) || errors.As(err, new(*identity.LimitError)) || errors.As(err, new(*identity.PageError)) || errors.Is(err, identity.ErrKeyMissing) ||
		errors.Is(err, identity.ErrKeyInvalid) || errors.Is(err, identity.ErrCertificateUnknown)
}

// errPage is PERMISSION_DENIED for what a web page has its browser send.
func errPage(e *identity.PageError) error {
	if e.Host != "" {
		return hostRefused.err(e.Error())
	}
	return originRefused.err(e.Error())
}
