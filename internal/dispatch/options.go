package dispatch

import (
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// Policy says what becomes of events while no subscription of a group is online.
type Policy int

const (
	// Buffer keeps events, within the bounds, until a subscription is back.
	Buffer Policy = iota
	// Drop throws events away and counts them.
	Drop
	// Refuse refuses new connections and buffers for those there are.
	Refuse
)

// Options of a [Dispatcher]. The zero value is valid.
type Options struct {
	// RequireVerdict refuses every connection that no consumer decided on, also
	// while no authorising consumer has ever been seen. Without it those to namespaces
	// are refused that [sio.EveryNamespace] alone has among Namespaces, unless
	// OthersDecide: another source, asked before, decides on every connection.
	RequireVerdict, OthersDecide bool
	// Policy holds where Policies have no other. Default: Buffer.
	Policy Policy
	// Policies are by namespace or by pattern, one of Namespaces.
	Policies map[string]Policy
	// Namespaces are the server's, as sio.Options has them: Policies for a pattern
	// hold in the namespaces that it is the first to match.
	Namespaces []string

	// VerdictTimeout bounds the wait for a consumer's verdict; then the client is
	// to come back. Default 5 s.
	VerdictTimeout time.Duration
	// HoldTimeout is how long a browser may be held up because its events are
	// not consumed; then its session is closed with [ReasonStalled]. Default
	// 45 s, longer than the default AckWait, so that another subscription comes first.
	HoldTimeout time.Duration
	// StallTimeout is how long a subscription may take nothing though there is
	// something that it may take: its consumer does not read. Then it ends.
	// Default 10 s.
	StallTimeout time.Duration
	// MaxAttempts is how often an event may fail: be given back, not be settled in
	// time, or end a consumer. Then it becomes a dead letter. Default 10.
	MaxAttempts int
	// DeadLetterBytes bounds the dead letters of all groups; the oldest go first.
	// Default 64 MiB.
	DeadLetterBytes int
	// GroupMemory is how long what a subscription asked for, that has ended and had
	// settled a delivery, is accepted and kept for the next one. What a group
	// authorises is never forgotten. Default 1 min.
	GroupMemory time.Duration
	// QueueBytes bounds what may wait for one group from one connection.
	// Default 256 KiB.
	QueueBytes int
	// Tracer makes spans of what browsers emit and of its deliveries. nil: there are none.
	Tracer trace.Tracer
	// Epoch is what the ids of deliveries begin with, as those of the server's connections
	// do (engineio.Options.Epoch), and in front of a hyphen those of dead letters. Default:
	// nothing for deliveries, something new for dead letters.
	Epoch string
	// SubscriptionBytes bounds what may wait for one subscription, or in one group for
	// nobody. Default 64 MiB.
	SubscriptionBytes int
	// Logger. Default: slog.Default().
	Logger *slog.Logger
}

// Bounds that are not worth a setting.
const (
	maxGroups            = 100  // that have subscriptions, or remember some
	maxAuthorizingGroups = 1000 // that have none
	maxAuthorized        = 1000 // names and patterns that one group authorises
	maxSubscriptions     = 1000 // of one group
	// maxAwaiting bounds the events of one connection that may await a reply;
	// the oldest is given up for a newer one.
	maxAwaiting = 1024
	// eventOverhead is what an event costs beyond its bytes, about.
	eventOverhead = 256
)

func (o Options) withDefaults() Options {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&o.VerdictTimeout, 5*time.Second)
	def(&o.HoldTimeout, 45*time.Second)
	def(&o.StallTimeout, 10*time.Second)
	def(&o.GroupMemory, time.Minute)
	if o.MaxAttempts == 0 {
		o.MaxAttempts = 10
	}
	if o.DeadLetterBytes == 0 {
		o.DeadLetterBytes = 64 << 20
	}
	if o.QueueBytes == 0 {
		o.QueueBytes = 256 << 10
	}
	if o.SubscriptionBytes == 0 {
		o.SubscriptionBytes = 64 << 20
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}
