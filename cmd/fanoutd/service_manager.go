package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
)

// lastSteps is how long a shutdown may take beyond its grace period: what is left then is
// closed, which waits for nobody.
const lastSteps = 5 * time.Second

// serviceManager tells the service manager that started this process (systemd, with
// Type=notify or notify-reload) how it is; see sd_notify(3). Without one, which is
// without NOTIFY_SOCKET in the environment, it does nothing. Its methods may be called
// concurrently.
type serviceManager struct {
	log  *slog.Logger
	warn sync.Once
}

// ready says that all listeners serve.
func (m *serviceManager) ready() { m.notify(sd.SdNotifyReady + "\nSTATUS=serving") }

// stopping says that the shutdown has begun and takes so long at most. The service
// manager then does not kill the process before, also if its TimeoutStopSec is shorter.
func (m *serviceManager) stopping(within time.Duration) {
	m.notify(fmt.Sprintf("%s\nEXTEND_TIMEOUT_USEC=%d\nSTATUS=shutting down, within %s",
		sd.SdNotifyStopping, (within + lastSteps).Microseconds(), within))
}

// watch tells the service manager that the process is alive, twice in each WatchdogSec,
// until ctx ends; without WatchdogSec it returns at once. Before each time it asks for
// connections, which takes the locks that serving takes: if these are never released
// the service manager restarts the process.
func (m *serviceManager) watch(ctx context.Context, connections func() int) {
	interval, err := sd.SdWatchdogEnabled(false)
	if err != nil {
		m.log.Warn("the service manager's watchdog is not served", "error", err)
		return
	}
	if interval == 0 {
		return
	}
	tick := time.NewTicker(interval / 2)
	defer tick.Stop()
	for {
		m.notify(fmt.Sprintf("%s\nSTATUS=serving, %d connections", sd.SdNotifyWatchdog, connections()))
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// notify sends states, each on a line. A failure is logged once: there is no other who
// could be told.
func (m *serviceManager) notify(states string) {
	if _, err := sd.SdNotify(false, states); err != nil {
		m.warn.Do(func() { m.log.Warn("the service manager cannot be told of states", "error", err) })
	}
}
