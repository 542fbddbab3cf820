package identity

import (
	"fmt"
	"slices"
)

// Scope names a part of the control API that a key may be limited to. Which RPC
// needs which one stands in the contract, as an option of the RPC.
type Scope string

// The scopes there are.
const (
	Emit       Scope = "emit"       // send events to browsers, and await their answers
	Read       Scope = "read"       // see connections, rooms and namespaces
	Write      Scope = "write"      // join, leave and update
	Disconnect Scope = "disconnect" // end connections
	Consume    Scope = "consume"    // receive what browsers do, and answer it
	Authorize  Scope = "authorize"  // besides, decide on who wants to come in, and see what they say to it
	Tail       Scope = "tail"       // watch what browsers do
	Admin      Scope = "admin"      // the daemon itself, its consumers and dead letters
)

// Any is the scope of what any caller may call, since each part of such a request is held
// to a scope of its own. No key has it.
const Any Scope = "any"

var scopes = []Scope{Emit, Read, Write, Disconnect, Consume, Authorize, Tail, Admin}

// Scopes returns all scopes there are.
func Scopes() []Scope { return slices.Clone(scopes) }

// Known reports whether s is one of Scopes.
func (s Scope) Known() bool { return slices.Contains(scopes, s) }

// ScopeError is why a call is refused whose caller is known.
type ScopeError struct {
	Scope  Scope  // that the call needs
	Caller string // who lacks it, by name
}

func (e *ScopeError) Error() string {
	if e.Scope == "" {
		return "nobody may call this: it has no scope"
	}
	return fmt.Sprintf("the key %q lacks the scope %q", e.Caller, e.Scope)
}
