package control

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/control/identity"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/idempotency"
	"github.com/fanoutd/fanoutd/internal/publish"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// maxViolations bounds what one refusal lists. Details travel in HTTP/2
// trailers, which clients bound (8 KiB in gRPC's C core), and nobody reads
// more than these.
const maxViolations = 16

// problems gathers what is wrong with a request, so that one answer names all
// of it. The zero value has none.
type problems struct {
	at     place                // of the message that is looked at
	caller identity.Principal   // whose limits the request has to keep to; see limits.go
	denied *identity.LimitError // the first that it does not keep to
	list   []*errdetails.BadRequest_FieldViolation
	more   int // found beyond maxViolations
}

// place is where a message lies in its request: the path of one around it and the path in
// that. Either may be empty; both are of the request itself. What is well pays for no text.
type place struct{ outer, inner string }

// path is where field lies in the request.
func (p *problems) path(field string) string {
	path := field
	for _, outer := range []string{p.at.inner, p.at.outer} {
		if outer != "" {
			path = outer + "." + path
		}
	}
	return path
}

func (p *problems) add(field, format string, args ...any) {
	if len(p.list) == maxViolations {
		p.more++
		return
	}
	p.list = append(p.list, &errdetails.BadRequest_FieldViolation{
		Field:       p.path(field),
		Description: fmt.Sprintf(format, args...),
	})
}

func (p *problems) any() bool { return p.denied != nil || len(p.list) > 0 }

// err is INVALID_ARGUMENT with everything gathered, nil if that is nothing. What the
// caller must not do comes before it, so that nobody learns from the rest what there is.
func (p *problems) err() error {
	switch {
	case p.denied != nil:
		return p.denied
	case len(p.list) == 0:
		return nil
	}
	var msg strings.Builder
	for i, v := range p.list {
		if i > 0 {
			msg.WriteString("; ")
		}
		fmt.Fprintf(&msg, "%s: %s", v.GetField(), v.GetDescription())
	}
	if p.more > 0 {
		fmt.Fprintf(&msg, "; and %d more", p.more)
	}
	return newError(codes.InvalidArgument, msg.String(), &errdetails.BadRequest{FieldViolations: p.list})
}

// invalid is INVALID_ARGUMENT for one field.
func invalid(p *problems, field, format string, args ...any) error {
	p.add(field, format, args...)
	return p.err()
}

// tooLarge is INVALID_ARGUMENT for arguments that no client would take.
func tooLarge(p *problems, m arguments) error {
	field := "args_json"
	switch {
	case len(m.GetAttachments()) > 0:
		field = "attachments"
	case len(m.GetArgs()) > 0:
		field = "args"
	}
	return invalid(p, field, "the packet is larger than clients accept")
}

// errTooManyGroups is FAILED_PRECONDITION for counts by more groups than one answer lists.
func errTooManyGroups() error {
	return status.Errorf(codes.FailedPrecondition, "there are more than %d groups: page through ListRooms or ListConnections instead", maxGroups)
}

func errNoConnection(namespace, id string) error {
	return status.Errorf(codes.NotFound, "no connection %.64q in namespace %.64q", id, namespace)
}

// errUserBlocked is FAILED_PRECONDITION for a connection that was made a blocked user's.
func errUserBlocked(user string) error {
	return userBlocked.err(fmt.Sprintf("the user %.64q is blocked: the connection is disconnected", user))
}

// errConnectionEnded is ABORTED for a call whose connection ended before it answered.
func errConnectionEnded() error {
	return disconnected.err("the connection ended before it answered")
}

// errNoAnswer is what a call ends with that its connection did not answer in time.
var errNoAnswer = status.Error(codes.DeadlineExceeded, "the connection did not answer in time")

// ErrUnknownService is what the health of a service that does not exist answers.
var ErrUnknownService = status.Error(codes.NotFound, "no such service")

// ErrRequestLate is what a call ends with that needs no key and whose request takes too long.
var ErrRequestLate = status.Error(codes.DeadlineExceeded, "the request has not come in time")

// ErrTooManyOpen is what a call ends with that needs no key, of somebody who is not known,
// beside too many such on its connection.
var ErrTooManyOpen = status.Error(codes.ResourceExhausted, "too many calls without a key on one connection")

// ErrClosing is what everything ends with at shutdown.
var ErrClosing = status.Error(codes.Unavailable, "the server is shutting down")

// ErrUnknownMethod is what a method or service that does not exist answers.
var ErrUnknownMethod = status.Error(codes.Unimplemented, "no such method")

// errInternal says nothing: what went wrong is in the log.
var errInternal = status.Error(codes.Internal, "internal error")

// unexpectedError is an error that no mistake of the caller explains. Its text
// is for the log; read as a status it is errInternal. It hides the
// status that the error may hold, which is that of another server.
type unexpectedError struct{ err error }

func (e *unexpectedError) Error() string              { return e.err.Error() }
func (e *unexpectedError) GRPCStatus() *status.Status { return status.Convert(errInternal) }

// codeError returns the gRPC status for an error that a service, or what stands
// around it, returned.
// expected is false if an operator has to hear of it.
func codeError(err error) (coded error, expected bool) {
	if err == nil {
		return nil, true
	}
	if missing := (*identity.ScopeError)(nil); errors.As(err, &missing) {
		return errScopeMissing(missing), true
	}
	if denied := (*identity.LimitError)(nil); errors.As(err, &denied) {
		return errOutsideLimits(denied), true
	}
	if page := (*identity.PageError)(nil); errors.As(err, &page) {
		return errPage(page), true
	}
	switch {
	case err == errInternal: //nolint:errorlint // as it is, it has been logged
		return err, true
	case errors.Is(err, identity.ErrKeyMissing):
		return keyMissing.err(identity.ErrKeyMissing.Error()), true
	case errors.Is(err, identity.ErrKeyInvalid):
		return keyInvalid.err(identity.ErrKeyInvalid.Error()), true
	case errors.Is(err, identity.ErrCertificateUnknown):
		return certificateUnknown.err(identity.ErrCertificateUnknown.Error()), true
	case errors.Is(err, identity.ErrKeyEnded):
		return keyEnded.err(identity.ErrKeyEnded.Error()), true
	case errors.Is(err, context.Canceled):
		return status.Error(codes.Canceled, "canceled by the caller"), true
	case errors.Is(err, context.DeadlineExceeded):
		return status.Error(codes.DeadlineExceeded, "the deadline passed without a result"), true
	}
	// A service returns its statuses, and those of a broken stream, as they are:
	// one that is wrapped is that of something else. INTERNAL and UNKNOWN no
	// service makes, but a stream that cannot encode a message does.
	if s, ok := err.(interface{ GRPCStatus() *status.Status }); ok {
		if code := s.GRPCStatus().Code(); code != codes.Internal && code != codes.Unknown {
			return err, true
		}
	}
	return errInternal, false
}

// hubError codes what a Hub answered. namespace is the field that named the
// namespace; what only some methods answer has its case at the caller.
func hubError(err error, p *problems, namespace string) error {
	switch {
	case errors.Is(err, sio.ErrUnknownNamespace):
		return invalid(p, namespace, "no such namespace")
	case errors.Is(err, idempotency.ErrOtherContent):
		return invalid(p, "idempotency_key", "was used for a request with other content")
	case errors.Is(err, sio.ErrBusy):
		return newError(codes.ResourceExhausted, err.Error(), &errdetails.RetryInfo{RetryDelay: durationpb.New(retryBusy)})
	case errors.Is(err, sio.ErrClosed):
		return ErrClosing
	}
	if away := (*sio.UnreachableError)(nil); errors.As(err, &away) {
		return errUnreachable(away.Node)
	}
	return unexpected(err)
}

// errUnreachable is UNAVAILABLE for what only a node could do that does not answer.
func errUnreachable(node string) error {
	return nodeUnreachable.err(fmt.Sprintf("node %.64q does not answer", node), node)
}

// unexpected returns err for the log, unless a context's end explains it.
func unexpected(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return &unexpectedError{err}
}

// settleError codes what a Subscription or a Dispatcher answered about one delivery, or one
// message of another backend.
func settleError(err error, p *problems) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, dispatch.ErrBadID):
		return invalid(p, "delivery_id", "not the delivery_id of an event")
	case errors.Is(err, dispatch.ErrNoVerdict):
		return invalid(p, "delivery_id", "%v", err)
	case errors.Is(err, dispatch.ErrNotInFlight), errors.Is(err, dispatch.ErrNoReply), errors.Is(err, publish.ErrNotAwaited):
		return status.Error(codes.FailedPrecondition, err.Error())
	}
	if away := (*sio.UnreachableError)(nil); errors.As(err, &away) {
		return errUnreachable(away.Node)
	}
	return unexpected(err)
}

// How long a caller should stay away: answers that are awaited come or time out,
// a consumer that stalled is wanted back, and that there are too many of them
// will not change in a moment.
const (
	retryBusy    = time.Second
	retryStalled = time.Second
	retryNoRoom  = time.Second // until consumers have settled some
	retryTooMany = 10 * time.Second
)

// consumerError codes why a consumer or a watcher has ended or was not admitted, or what
// an administrator answered.
func consumerError(err error) error {
	switch {
	case errors.Is(err, dispatch.ErrReplaced):
		return consumerReplaced.err("a consumer with the same id has joined the group again and taken over")
	case errors.Is(err, dispatch.ErrGroupDeleted):
		return groupDeleted.err("the group was deleted")
	case errors.Is(err, dispatch.ErrDisconnected):
		return consumerDisconnected.err("an operator disconnected the consumer")
	case errors.Is(err, dispatch.ErrNoGroup), errors.Is(err, dispatch.ErrNoConsumer):
		return status.Error(codes.NotFound, err.Error())
	case errors.Is(err, dispatch.ErrNoRoom):
		return newError(codes.ResourceExhausted, err.Error(), &errdetails.RetryInfo{RetryDelay: durationpb.New(retryNoRoom)})
	case errors.Is(err, dispatch.ErrStalled):
		return newError(codes.ResourceExhausted, "stalled: "+err.Error(), &errdetails.RetryInfo{RetryDelay: durationpb.New(retryStalled)})
	case errors.Is(err, dispatch.ErrTooMany):
		return newError(codes.ResourceExhausted, err.Error(), &errdetails.RetryInfo{RetryDelay: durationpb.New(retryTooMany)})
	}
	if away := (*sio.UnreachableError)(nil); errors.As(err, &away) {
		return errUnreachable(away.Node)
	}
	return unexpected(err)
}

// fromStatus is a status as the contract has it inside a message.
func fromStatus(s *status.Status) *fanoutv1.Status {
	return &fanoutv1.Status{Code: int32(s.Code()), Message: s.Message(), Details: s.Proto().GetDetails()}
}

func newError(code codes.Code, msg string, detail protoadapt.MessageV1) error {
	st := status.New(code, msg)
	if with, err := st.WithDetails(detail); err == nil {
		st = with
	}
	return st.Err()
}
