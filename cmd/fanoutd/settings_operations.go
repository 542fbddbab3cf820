package main

import (
	"log/slog"
	"time"

	"github.com/fanoutd/fanoutd/internal/settings"
)

// operationConfig says how the process is run.
type operationConfig struct {
	logLevel  slog.Level
	logFormat string
	grace     time.Duration
	file      string
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
			Name: "grace", Help: "how long a shutdown waits for clients and calls to end by themselves",
			Value: settings.Duration(&c.grace, 10*time.Second),
		},
		settings.Setting{
			Name: settings.ConfigFile, Help: "a YAML file with settings: the names above as keys",
			Value: settings.String(&c.file, ""),
		},
	)
}
