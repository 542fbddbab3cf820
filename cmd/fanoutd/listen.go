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
)

// listeners are the three doors, all open before anybody is let in.
type listeners struct {
	browsers, backends, operators net.Listener
}

// bind opens all listeners or none. Its errors name the setting.
func bind(ctx context.Context, c *config) (*listeners, error) {
	l := &listeners{}
	for _, x := range []struct {
		to      *net.Listener
		setting string
		at      address
	}{
		{&l.browsers, "listen", c.listen},
		{&l.backends, "control-listen", c.controlListen},
		{&l.operators, "ops-listen", c.opsListen},
	} {
		var err error
		lc := net.ListenConfig{}
		if x.to == &l.browsers {
			lc.KeepAlive = -1 // Engine.IO's heartbeat finds the dead ones, and net/http's timeout the idle
		}
		if *x.to, err = listen(ctx, lc, x.at); err != nil {
			l.close()
			return nil, fmt.Errorf("cannot listen as the setting %s says: %w", x.setting, err)
		}
	}
	return l, nil
}

// close closes what is open.
func (l *listeners) close() {
	for _, x := range []net.Listener{l.browsers, l.backends, l.operators} {
		if x != nil {
			x.Close()
		}
	}
}

// list is the listeners with their actual addresses, ports chosen.
func (l *listeners) list() []control.Listener {
	return []control.Listener{
		{Name: "browsers", Address: display(l.browsers)},
		{Name: "backends", Address: display(l.backends)},
		{Name: "operators", Address: display(l.operators)},
	}
}

func display(l net.Listener) string {
	return address{l.Addr().Network(), l.Addr().String()}.String()
}

// listen opens one listener. A unix socket that a process left behind when it
// was killed is replaced; one that somebody serves is an address in use.
func listen(ctx context.Context, lc net.ListenConfig, at address) (net.Listener, error) {
	l, err := lc.Listen(ctx, at.network, at.name)
	if errors.Is(err, syscall.EADDRINUSE) && at.network == "unix" && abandoned(at.name) {
		if err := os.Remove(at.name); err != nil {
			return nil, err
		}
		l, err = lc.Listen(ctx, at.network, at.name)
	}
	if err != nil {
		return nil, err
	}
	if at.network == "unix" {
		// Who may connect is who may write: the owner and the group.
		if err := os.Chmod(at.name, 0o660); err != nil {
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
