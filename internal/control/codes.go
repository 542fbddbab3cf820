package control

import "google.golang.org/grpc/codes"

// Code is a code that the control API answers, with the HTTP status that it has over HTTP.
type Code struct {
	Code     codes.Code
	HTTP     int
	When, Do string // for people, in Markdown
}

// Codes are all of them. UNKNOWN is none: what nobody coded is INTERNAL.
func Codes() []Code {
	return []Code{
		{codes.Canceled, 499, "The caller gave up, or its connection broke.", "Whether the call was carried out is not known."},
		{
			codes.InvalidArgument, 400, "The request is wrong. A `google.rpc.BadRequest` names each field at fault, and what is wrong with it; nothing was done.",
			"Correct the caller: the same request fails again.",
		},
		{codes.DeadlineExceeded, 504, "The caller's deadline passed, or a connection did not answer in the time that the request gave it.", "Whether the call was carried out is not known. Repeat changes with an idempotency key."},
		{codes.NotFound, 404, "There is no such connection, group, consumer or node (any more).", "Browsers come and go: take it as an answer."},
		{codes.PermissionDenied, 403, "The key is known, and is not for this.", "See the reason."},
		{
			codes.ResourceExhausted, 429, "A limit is reached: too many consumers, watches or awaited answers, a message larger than `control-max-request`, or a stream that was not read.",
			"With a `google.rpc.RetryInfo`: again after that time. Without one: see the message, and [operating.md](operating.md).",
		},
		{codes.FailedPrecondition, 400, "What there is does not fit the request: nobody awaits this reply, there is no cluster, a connection would have too many rooms or too much data.", "See the message. The same request may do later."},
		{codes.Aborted, 409, "What the call was about ended meanwhile, or somebody else took it over.", "See the reason."},
		{codes.Unimplemented, 501, "There is no such method, it is not there over HTTP, or the daemon is too old for the caller.", "Compare the versions: `fanoutd version`."},
		{codes.Internal, 500, "A mistake of the daemon. Its log has what happened, at level error.", "Report it with that line, and repeat the call with an idempotency key."},
		{codes.Unavailable, 503, "The node is shutting down, a node that is needed does not answer, or nobody could be reached.", "Again, with back-off, at this node or another."},
		{codes.Unauthenticated, 401, "The caller is nobody whom the daemon knows.", "See the reason."},
	}
}
