package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/fanoutd/fanoutd/internal/control"
	"github.com/fanoutd/fanoutd/internal/direct"
	"github.com/fanoutd/fanoutd/internal/settings"
)

// listeners are all of them, open before any is served.
type listeners struct {
	browsers, backends, operators net.Listener
	forwarded                     net.Listener   // for what other nodes hand over; nil: that comes where browsers connect
	webTransport                  net.PacketConn // nil: it is not served
}

// forNodes is where other nodes hand over requests.
func (l *listeners) forNodes() net.Listener {
	if l.forwarded != nil {
		return l.forwarded
	}
	return l.browsers
}

// bind opens all listeners or none. Its errors name the setting.
func bind(ctx context.Context, c *config) (*listeners, error) {
	l := &listeners{}
	for _, x := range []struct {
		to      *net.Listener
		setting string
		at      settings.Address
	}{
		{&l.browsers, "listen", c.listeners.browsers},
		{&l.backends, "control-listen", c.listeners.control},
		{&l.operators, "ops-listen", c.listeners.operators},
		{&l.forwarded, "cluster-forward-listen", c.cluster.forwardAt},
	} {
		if x.at.IsZero() {
			continue
		}
		var err error
		lc := net.ListenConfig{}
		if x.to == &l.browsers || x.to == &l.forwarded {
			lc.KeepAlive = -1 // Engine.IO's heartbeat finds the dead ones, and the timeout between requests the idle
		}
		if *x.to, err = listen(ctx, lc, x.at); err != nil {
			l.close()
			return nil, fmt.Errorf("cannot listen as the setting %s says: %w", x.setting, err)
		}
		if x.to != &l.backends { // whose emits would gather less
			*x.to = direct.Listen(*x.to)
		}
	}
	if at := c.listeners.webTransport; !at.IsZero() {
		var err error
		if l.webTransport, err = (&net.ListenConfig{}).ListenPacket(ctx, "udp", at.Name); err != nil {
			l.close()
			return nil, fmt.Errorf("cannot listen as the setting webtransport-listen says: %w", err)
		}
	}
	return l, nil
}

// close closes what is open.
func (l *listeners) close() {
	for _, x := range []net.Listener{l.browsers, l.backends, l.operators, l.forwarded} {
		if x != nil {
			x.Close()
		}
	}
	if l.webTransport != nil {
		l.webTransport.Close()
	}
}

// list is the listeners with their actual addresses, ports chosen.
func (l *listeners) list() []control.Listener {
	list := []control.Listener{
		{Name: "browsers", Address: display(l.browsers)},
		{Name: "backends", Address: display(l.backends)},
		{Name: "operators", Address: display(l.operators)},
	}
	if l.webTransport != nil {
		list = append(list, control.Listener{Name: "webtransport", Address: l.webTransport.LocalAddr().String()})
	}
	if l.forwarded != nil {
		list = append(list, control.Listener{Name: "forwarded", Address: display(l.forwarded)})
	}
	return list
}

func display(l net.Listener) string {
	return settings.Address{Network: l.Addr().Network(), Name: l.Addr().String()}.String()
}

// listen opens one listener. A unix socket that a process left behind when it
// was killed is replaced; one that somebody serves is an address in use.
func listen(ctx context.Context, lc net.ListenConfig, at settings.Address) (net.Listener, error) {
	l, err := lc.Listen(ctx, at.Network, at.Name)
	if errors.Is(err, syscall.EADDRINUSE) && at.Network == "unix" && abandoned(at.Name) {
		if err := os.Remove(at.Name); err != nil {
			return nil, err
		}
		l, err = lc.Listen(ctx, at.Network, at.Name)
	}
	if err != nil {
		return nil, err
	}
	if at.Network == "unix" {
		// Who may connect is who may write: the owner and the group.
		if err := os.Chmod(at.Name, 0o660); err != nil {
			l.Close()
			return nil, err
		}
	}
	return l, nil
}

// abandoned reports whether path is a unix socket that nobody listens on.
func abandoned(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != fs.ModeSocket {
		return false
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		conn.Close()
		return false
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}
