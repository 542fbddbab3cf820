package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/fanoutd/fanoutd/internal/control"
	"github.com/fanoutd/fanoutd/internal/control/connections"
	"github.com/fanoutd/fanoutd/internal/control/grpcserver"
	"github.com/fanoutd/fanoutd/internal/settings"
	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/sio/engineio"
)

// limitConfig bounds what browsers and backends may take and how many of them there are.
type limitConfig struct {
	connectTimeout    time.Duration
	upgradeTimeout    time.Duration
	attachmentTimeout time.Duration
	payload           int // bytes
	queue             int // bytes
	eventRate         int // packets a second; 0: any number
	sessions          engineio.Limits
	controlRequest    int // bytes
	controlStreams    int
	controlConns      int // negative: any number
}

// Bounds of sizes in bytes. One message is held in memory as a whole, and
// MaxPayload is doubled for a packet with its attachments.
const (
	minPayload = 1 << 10
	maxPayload = 256 << 20
	minQueue   = 16 << 10
	maxQueue   = 1 << 30

	minControlRequest = 64 << 10
	maxControlRequest = 31 << 20 // with what is around it a message between nodes, of 32 MiB at most
)

// declare adds the settings, each with its default in c.
func (c *limitConfig) declare(s *settings.Set) {
	s.Declare("Limits",
		settings.Setting{
			Name: "connect-timeout", Help: "how long a client may stay without joining a namespace",
			Value: settings.Duration(&c.connectTimeout, sio.DefaultConnectTimeout),
		},
		settings.Setting{
			Name: "upgrade-timeout", Help: "how long an upgrade to WebSocket or WebTransport may take, and a QUIC connection be without a session",
			Value: settings.Duration(&c.upgradeTimeout, engineio.DefaultUpgradeTimeout),
		},
		settings.Setting{
			Name: "attachment-timeout", Help: "how long a packet from a client may take from its text to its last attachment",
			Value: settings.Duration(&c.attachmentTimeout, sio.DefaultAttachmentTimeout),
		},
		settings.Setting{
			Name: "max-payload", Help: "bytes of one message from a browser",
			Value: settings.Bytes(&c.payload, engineio.DefaultMaxPayload, minPayload, maxPayload),
		},
		settings.Setting{
			Name: "max-queue", Help: "bytes that may wait for one client, 128 for each message beside its own; one that falls further behind is closed",
			Value: settings.Bytes(&c.queue, engineio.DefaultMaxQueue, minQueue, maxQueue),
		},
		settings.Setting{
			Name: "max-event-rate",
			Help: "events, acks and connects of one client a second, in all its namespaces together, of which a second's worth may come at once; " +
				"a client that sends faster is read more slowly, and loses nothing; 0: no limit",
			Value: settings.Number(&c.eventRate, 0, 0, 1_000_000),
		},
		settings.Setting{
			Name: "max-sessions", Help: "sessions in all; beyond it new ones are refused; 0: no limit", Reloadable: true,
			Value: limit(&c.sessions.Sessions, engineio.DefaultMaxSessions),
		},
		settings.Setting{
			Name: "max-pending", Help: "sessions in all that joined no namespace yet; beyond it the oldest is closed; 0: no limit", Reloadable: true,
			Value: limit(&c.sessions.Pending, engineio.DefaultMaxPending),
		},
		settings.Setting{
			Name: "max-address-sessions", Reloadable: true,
			Help: "sessions of one Internet address, an IPv6 /64 being one; beyond it new ones are refused; 0: no limit. " +
				"Private and loopback addresses and unix sockets are exempt from this and from max-address-pending and max-address-rate, since they are mostly proxies. " +
				"Behind a proxy set trusted-proxies, or these limits hold for the proxy as one address, or for nobody; " +
				"so they do behind a trusted one that does not say whom a request comes from",
			Value: limit(&c.sessions.AddressSessions, engineio.DefaultMaxAddressSessions),
		},
		settings.Setting{
			Name: "max-address-pending", Reloadable: true,
			Help:  "of those, sessions that joined no namespace yet; beyond it new ones are refused; 0: no limit",
			Value: limit(&c.sessions.AddressPending, engineio.DefaultMaxAddressPending),
		},
		settings.Setting{
			Name: "max-address-rate", Reloadable: true,
			Help:  "handshakes of one Internet address a second, of which five seconds' worth may come at once; 0: no limit",
			Value: limit(&c.sessions.AddressRate, engineio.DefaultMaxAddressRate),
		},
		settings.Setting{
			Name: "max-handshake-rate", Reloadable: true,
			Help: "handshakes of all addresses a second, private ones too; beyond it new ones are refused with 503, and stock clients come back by themselves; 0: no limit. " +
				"Set it to what the machine, and a hook or consumers that admit, bear beside their other work: it spreads a herd that comes back at once",
			Value: limit(&c.sessions.HandshakeRate, 0),
		},
		settings.Setting{
			Name: "start-ramp", Reloadable: true,
			Help:  "how long after a start max-handshake-rate grows, evenly from a tenth of it; 0: it holds at once",
			Value: settings.OptionalDuration(&c.sessions.StartRamp, engineio.DefaultStartRamp, time.Second),
		},
		settings.Setting{
			Name: "control-max-request",
			Help: "bytes of one request of a backend, unpacked; a larger one is answered RESOURCE_EXHAUSTED. " +
				"GetServerInfo tells it as limits.max_request_bytes",
			Value: settings.Bytes(&c.controlRequest, control.DefaultMaxRequest, minControlRequest, maxControlRequest),
		},
		settings.Setting{
			Name: "control-max-streams",
			Help: "calls that one connection of a backend may have under way, streams among them; further ones wait in the backend. " +
				"Each may hold a request of control-max-request while it comes",
			Value: settings.Number(&c.controlStreams, grpcserver.DefaultMaxStreams, 1, 1_000_000),
		},
		settings.Setting{
			Name: "control-max-connections",
			Help: "connections to control-listen; beyond it new ones are closed at once. A quarter of them at most, and 64 at least, may be such that nobody with a key calls by: " +
				"these are closed after 10 s, and the oldest where there is no room for a new one. 0: no limit but those 10 s",
			Value: limit(&c.controlConns, connections.DefaultMax),
		},
	)
}

// engineOptions sets what the settings say.
func (c *limitConfig) engineOptions(o *engineio.Options) {
	o.UpgradeTimeout = c.upgradeTimeout
	o.MaxPayload = int64(c.payload)
	o.MaxQueue = c.queue
	o.Limits = c.sessionLimits()
}

// sessionLimits are the limits as the options write them: without a ramp it is -1.
func (c *limitConfig) sessionLimits() engineio.Limits {
	l := c.sessions
	if l.StartRamp == 0 {
		l.StartRamp = -1
	}
	return l
}

// options sets what the settings say.
func (c *limitConfig) options(o *sio.Options) {
	o.ConnectTimeout = c.connectTimeout
	o.AttachmentTimeout = c.attachmentTimeout
	o.MaxEventRate = c.eventRate
}

// limit is a number where 0 means that there is no limit, which the options write
// as -1.
func limit(to *int, initial int) settings.Value {
	const most = 100_000_000
	allowed := fmt.Sprintf("a number from 0 to %d", most)
	return settings.Scalar(to, strconv.Itoa(initial), allowed, func(raw string) (int, error) {
		n, err := strconv.Atoi(raw)
		switch {
		case err != nil || n < 0 || n > most:
			return 0, settings.ErrNotAllowed
		case n == 0:
			return -1, nil
		}
		return n, nil
	})
}
