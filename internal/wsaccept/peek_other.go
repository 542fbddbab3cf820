//go:build !unix

package wsaccept

// canPeek says whether this system can peek at connections.
const canPeek = false

func peek(conn) *buffer { return nil }
