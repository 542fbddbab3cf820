//go:build !unix

package fastpath

// canPeek says whether this system can peek at connections.
const canPeek = false

// canPoll says whether polls are served on this system.
const canPoll = false

func (*conn) peek(int) *buffer { return &buffer{last: true} }

func (*conn) skip(*buffer, int) bool { return false }

func (*conn) tryWrite([]byte) int { return 0 }

func (*conn) atEnd() bool { return false }
