package control

import (
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
)

// errorDomain qualifies the reasons of ErrorInfo details.
const errorDomain = "fanoutd"

// Reason is what programs read of an error beyond its code: the reason of its ErrorInfo.
// What is in a release keeps its name, code and meaning.
type Reason struct {
	Name     string
	Code     codes.Code
	Metadata []string // what else the ErrorInfo has, by key
	When, Do string   // for people, in Markdown
}

// reason is one of [Reasons]. An ErrorInfo is made of one alone, so there is none without a
// row.
type reason uint8

const (
	keyMissing reason = iota
	keyInvalid
	certificateUnknown
	keyEnded
	scopeMissing
	keyLimited
	originRefused
	hostRefused
	apiLevelInvalid
	apiTooOld
	userBlocked
	disconnected
	consumerReplaced
	groupDeleted
	consumerDisconnected
	nodeUnreachable
	dataDirFailed
	reasonCount // how many there are
)

var reasonRows = [reasonCount]Reason{
	keyMissing: {
		Name: "KEY_MISSING", Code: codes.Unauthenticated,
		When: "The daemon asks for a key or a client certificate, and the call has neither.",
		Do:   "Send `authorization: Bearer KEY`.",
	},
	keyInvalid: {
		Name: "KEY_INVALID", Code: codes.Unauthenticated,
		When: "The call's key is none of those that the daemon has.",
		Do:   "Compare the key with `control-key` or `control-keys-file`, spaces and line breaks at its end included. Do not repeat the call before that.",
	},
	certificateUnknown: {
		Name: "CERTIFICATE_UNKNOWN", Code: codes.Unauthenticated,
		When: "The caller's certificate is valid, but no entry of `control-keys-file` has one of its names, and the call has no key.",
		Do:   "Add an entry with `certificate`, or send a key.",
	},
	keyEnded: {
		Name: "KEY_ENDED", Code: codes.Unauthenticated,
		When: "A call was under way, most often a stream, when its key's entry was taken away or given other rights.",
		Do:   "Begin anew with the key of now; the SDKs come back by themselves.",
	},
	scopeMissing: {
		Name: "SCOPE_MISSING", Code: codes.PermissionDenied, Metadata: []string{"scope", "key"},
		When: "The key may not do this: it has not the RPC's `scope`.",
		Do:   "Add the scope to the entry that `key` names, or call with another key.",
	},
	keyLimited: {
		Name: "KEY_LIMITED", Code: codes.PermissionDenied, Metadata: []string{"field", "key"},
		When: "The request reaches beyond the namespaces or rooms of the key, by the field that `field` names, or, without one, as such.",
		Do:   "Name what the key may reach, or widen the entry that `key` names: [security.md](security.md#namespaces-and-rooms).",
	},
	originRefused: {
		Name: "ORIGIN_REFUSED", Code: codes.PermissionDenied,
		When: "A web page of an origin that `control-origins` has not called over HTTP.",
		Do:   "Call from a backend. If that page is an operator's tool, add its origin to `control-origins`.",
	},
	hostRefused: {
		Name: "HOST_REFUSED", Code: codes.PermissionDenied,
		When: "A call over HTTP came for a host name that `control-hosts` has not, to a daemon without keys or with `control-hosts`.",
		Do:   "Add the name by which backends reach the daemon to `control-hosts`, or set keys.",
	},
	apiLevelInvalid: {
		Name: "API_LEVEL_INVALID", Code: codes.InvalidArgument,
		When: "The header or metadata `" + LevelHeader + "` is no number from 1 on.",
		Do:   "Correct the caller, or leave the header out.",
	},
	apiTooOld: {
		Name: "API_TOO_OLD", Code: codes.Unimplemented, Metadata: []string{"needed", "level"},
		When: "The caller was written for level `needed` of the API, and this daemon has only `level`.",
		Do:   "Upgrade the daemon first: [versioning.md](versioning.md#what-goes-first).",
	},
	userBlocked: {
		Name: "USER_BLOCKED", Code: codes.FailedPrecondition,
		When: "UpdateConnection made a connection one of a user who is blocked.",
		Do:   "Nothing: the connection has been disconnected.",
	},
	disconnected: {
		Name: "DISCONNECTED", Code: codes.Aborted,
		When: "The connection ended before it answered a Call.",
		Do:   "Whether its browser handled the event is not known. A client that comes back without recovery is another connection.",
	},
	consumerReplaced: {
		Name: "CONSUMER_REPLACED", Code: codes.Aborted,
		When: "A consumer joined the group with the same `consumer_id`, and has taken this one's place.",
		Do:   "Do not come back: that would end the other. If both are meant to be, give them ids of their own.",
	},
	groupDeleted: {
		Name: "GROUP_DELETED", Code: codes.Aborted,
		When: "An operator deleted the group of the consumer.",
		Do:   "Do not come back: that would make the group anew.",
	},
	consumerDisconnected: {
		Name: "CONSUMER_DISCONNECTED", Code: codes.Aborted,
		When: "An operator ended the consumer's stream.",
		Do:   "It may come back.",
	},
	nodeUnreachable: {
		Name: "NODE_UNREACHABLE", Code: codes.Unavailable, Metadata: []string{"node"},
		When: "What only the node `node` could do, or know, was asked, and it did not answer in time.",
		Do:   "Repeat the call later. It may have been carried out: a change with an idempotency key is carried out once all the same.",
	},
	dataDirFailed: {
		Name: "DATA_DIR_FAILED", Code: codes.Unavailable,
		When: "A change of who is blocked could not be written to `data-dir`.",
		Do:   "Nothing was changed. The daemon's log says what is wrong with the directory: its rights, or its disk is full.",
	},
}

// Reasons are all that an ErrorInfo of the control API may have.
func Reasons() []Reason { return append([]Reason(nil), reasonRows[:]...) }

func (r reason) String() string { return reasonRows[r].Name }

// err is an error with this reason, its code, and values for its metadata in the order of the
// row.
func (r reason) err(msg string, metadata ...string) error {
	info := &errdetails.ErrorInfo{Reason: r.String(), Domain: errorDomain}
	for i, key := range reasonRows[r].Metadata {
		if info.Metadata == nil {
			info.Metadata = map[string]string{}
		}
		info.Metadata[key] = metadata[i]
	}
	return newError(reasonRows[r].Code, msg, info)
}
