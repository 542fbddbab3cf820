package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fanoutd/fanoutd/internal/settings"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// exposureConfig says what backends see of the requests that browsers connect by.
type exposureConfig struct {
	headers []string
	cookies []string
	auth    authExposure
}

// authExposure is which keys of auth are shown.
type authExposure struct {
	all  bool
	keys []string
}

// declare adds the settings, each with its default in c.
func (c *exposureConfig) declare(s *settings.Set) {
	s.Declare("What backends see of browsers",
		settings.Setting{
			Name: "expose-headers", Help: "headers of the handshake that are shown with a connection, in place of the default ones; authorization is a credential",
			Value: settings.List(&c.headers, sio.DefaultHeaders(), "names of headers; cookies are named by expose-cookies", parseHeaderNames),
		},
		settings.Setting{
			Name: "expose-cookies", Help: "cookies of the handshake that are shown with a connection, in its header cookie, such as that of an application's session",
			Value: settings.List(&c.cookies, nil, "names of cookies", parseCookieNames),
		},
		settings.Setting{
			Name: "expose-auth", Help: "what clients pass as auth is kept and shown with a connection: some keys of it, or true for all; often a credential",
			Value: settings.List(&c.auth, []string{"false"}, "false, true, or keys such as name", parseAuthExposure),
		},
	)
}

// check refuses what would show a secret of the daemon's own.
func (c *exposureConfig) check(s *settings.Set, own string) error {
	if own != "" && slices.Contains(c.cookies, own) {
		return s.Get("expose-cookies").Errorf("cookie is %s too: it holds the session's id, which is a secret", own)
	}
	return nil
}

// options sets what the settings say.
func (c *exposureConfig) options(o *sio.Options) {
	o.Expose = sio.Exposure{Headers: c.headers, Cookies: c.cookies, Auth: c.auth.keys, AllAuth: c.auth.all}
}

func parseHeaderNames(items []string) ([]string, error) {
	names := make([]string, 0, len(items))
	for _, item := range items {
		name := strings.ToLower(item)
		switch {
		case name == "cookie":
			return nil, fmt.Errorf("cookie would show all of them: name those that are wanted in expose-cookies")
		case strings.ContainsFunc(name, notToken):
			return nil, fmt.Errorf("%.32q is no header's name", item)
		case !slices.Contains(names, name):
			names = append(names, name)
		}
	}
	return names, nil
}

func parseCookieNames(items []string) ([]string, error) {
	for _, name := range items {
		if strings.ContainsFunc(name, notToken) {
			return nil, fmt.Errorf("%.32q is no cookie's name", name)
		}
	}
	return items, nil
}

func parseAuthExposure(items []string) (authExposure, error) {
	switch {
	case slices.Contains(items, "pid"):
		return authExposure{}, fmt.Errorf("pid is the client's secret to come back by")
	case len(items) == 1 && items[0] == "true":
		return authExposure{all: true}, nil
	case len(items) == 1 && items[0] == "false":
		return authExposure{}, nil
	case slices.Contains(items, "true"), slices.Contains(items, "false"):
		return authExposure{}, fmt.Errorf("true and false stand alone")
	}
	return authExposure{keys: items}, nil
}
