package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fanoutd/fanoutd/internal/sio"
)

func TestExposure(t *testing.T) {
	usual := fmt.Sprint(sio.DefaultHeaders())
	tests := []struct {
		args []string
		want string // headers, cookies, auth
		err  string // what its text has; empty: none
	}{
		{nil, usual + " [] {false []}", ""},
		{[]string{"--expose-headers=User-Agent,x-tenant,user-agent"}, "[user-agent x-tenant] [] {false []}", ""},
		{[]string{"--expose-headers=authorization"}, "[authorization] [] {false []}", ""},
		{[]string{"--expose-headers="}, "[] [] {false []}", ""},
		{[]string{"--expose-headers=Cookie"}, "", "expose-cookies"},
		{[]string{"--expose-headers=a b"}, "", `"a b" is no header's name`},
		{[]string{"--expose-cookies=connect.sid,lang"}, usual + " [connect.sid lang] {false []}", ""},
		{[]string{"--expose-cookies=a=b"}, "", `"a=b" is no cookie's name`},
		{[]string{"--cookie=io", "--expose-cookies=io"}, "", "expose-cookies"},
		{[]string{"--expose-auth=true"}, usual + " [] {true []}", ""},
		{[]string{"--expose-auth=false"}, usual + " [] {false []}", ""},
		{[]string{"--expose-auth=name,sessionID"}, usual + " [] {false [name sessionID]}", ""},
		{[]string{"--expose-auth=name,true"}, "", "stand alone"},
		{[]string{"--expose-auth=pid"}, "", "secret"},
	}
	for _, tt := range tests {
		c, err := load(tt.args, nil)
		switch {
		case tt.err != "":
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%q: got %v, want an error with %q", tt.args, err, tt.err)
			}
		case err != nil:
			t.Errorf("%q: %v", tt.args, err)
		default:
			var o sio.Options
			c.exposure.options(&o)
			if got := fmt.Sprint(c.exposure.headers, c.exposure.cookies, c.exposure.auth); got != tt.want || o.Expose.Headers == nil {
				t.Errorf("%q: got %s, want %s", tt.args, got, tt.want)
			}
		}
	}
}
