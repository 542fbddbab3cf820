package main

import (
	"log/slog"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/fanoutd/fanoutd/internal/drain"
	"github.com/fanoutd/fanoutd/internal/settings"
	"github.com/fanoutd/fanoutd/internal/sio/engineio"
)

// operationConfig says how the process is run.
type operationConfig struct {
	logLevel  slog.Level
	logFormat string
	grace     time.Duration
	maxAge    time.Duration // of a session
	drain     drain.Plan
	file      string
	dataDir   string // empty: nothing is kept

	otlpEndpoint string // empty: nothing is traced
	sampleRatio  float64
}

// Formats of the log.
const (
	logText = "text"
	logJSON = "json"
)

// declare adds the settings, each with its default in c.
func (c *operationConfig) declare(s *settings.Set) {
	s.Declare("Operations",
		settings.Setting{
			Name: "log-level", Help: "what is logged: debug, info, warn or error and above", Reloadable: true,
			Value: settings.Choice(&c.logLevel, "info", map[string]slog.Level{
				"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
			}),
		},
		settings.Setting{
			Name: "log-format", Help: "how it is logged: text or json",
			Value: settings.Choice(&c.logFormat, logText, map[string]string{logText: logText, logJSON: logJSON}),
		},
		settings.Setting{
			Name:  "data-dir",
			Help:  "a directory of this node's own for what outlives a restart: who is blocked; it is made if it is not there; empty: in memory alone, so that a restart forgets what no other node of the cluster knows",
			Value: settings.String(&c.dataDir, ""),
		},
		settings.Setting{
			Name:  "drain-delay",
			Help:  "how long a shutdown serves everybody as before once readiness and health say no: as long as the balancer takes to look away",
			Value: settings.OptionalDuration(&c.drain.Delay, 0, time.Millisecond),
		},
		settings.Setting{
			Name:  "drain-time",
			Help:  "over how long a shutdown then closes the transports of its clients, evenly, so that they come back elsewhere one after the other; 0: all at once. What stops the process has to wait for drain-delay, drain-time and grace together",
			Value: settings.OptionalDuration(&c.drain.Time, 0, time.Millisecond),
		},
		settings.Setting{
			Name: "grace", Help: "how long a shutdown, after drain-delay and drain-time, waits for clients and calls to end by themselves",
			Value: settings.Duration(&c.grace, 10*time.Second),
		},
		settings.Setting{
			Name:  "max-connection-age",
			Help:  "how long a client's session may be open, give or take a tenth that is drawn for each; then its transport is closed, and stock clients come back by themselves, to wherever the balancer sends them now; 0: for ever",
			Value: settings.OptionalDuration(&c.maxAge, 0, 10*time.Second),
		},
		settings.Setting{
			Name:  "otlp-endpoint",
			Help:  "the collector that OpenTelemetry traces are sent to, by OTLP over gRPC: http://HOST:PORT in plain text, or https://HOST:PORT; empty: nothing is traced",
			Value: settings.Scalar(&c.otlpEndpoint, "", "http://HOST:PORT or https://HOST:PORT", parseEndpoint),
		},
		settings.Setting{
			Name:  "otlp-sample-ratio",
			Help:  "the part of the traces that is sampled where browsers' events and backends' calls begin them; those that a backend began are sampled as it says",
			Value: settings.Scalar(&c.sampleRatio, "0.01", "a number from 0 to 1", parseRatio),
		},
		settings.Setting{
			Name: settings.ConfigFile, Help: "a YAML file with settings: the names above as keys",
			Value: settings.File(&c.file),
		},
	)
}

// check refuses a data-dir that is none. What is in it is looked at when it is opened.
func (c *operationConfig) check(s *settings.Set) error {
	if c.dataDir == "" {
		return nil
	}
	if i, err := os.Stat(c.dataDir); err == nil && !i.IsDir() {
		return s.Get("data-dir").Errorf("%s is no directory", c.dataDir)
	}
	return nil
}

// engineOptions sets what the settings say.
func (c *operationConfig) engineOptions(o *engineio.Options) { o.MaxConnectionAge = c.maxAge }

// parseEndpoint reads the URL of a collector; empty: there is none.
func parseEndpoint(raw string) (string, error) {
	if raw == "" {
		return "", nil
	}
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Port() == "" || u.Hostname() == "" || u.User != nil || u.Path != "" || u.RawQuery != "" {
		return "", settings.ErrNotAllowed
	}
	return raw, nil
}

func parseRatio(raw string) (float64, error) {
	ratio, err := strconv.ParseFloat(raw, 64)
	if err != nil || !(ratio >= 0 && ratio <= 1) { // nor is NaN
		return 0, settings.ErrNotAllowed
	}
	return ratio, nil
}
