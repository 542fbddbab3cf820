//go:build !unix

package front

// canPeek says that connections can be looked at on this system.
const canPeek = false

func peek(conn) *buffer { return nil }
