// Package console serves the operators' console: its files, signing in to it, and the
// control API for its pages, below /console/ of the operators' listener.
//
// It keeps web pages of others out (guard.go), and remembers who has signed in (sessions.go)
// and what the node's figures were (history.go); what somebody may do, the control API decides
// by the rights of the key. It knows no service and no settings.
package console
