package parser

// nesting notes which of the arrays and objects around the scanner are open, a
// bit for each: however deep a peer nests its data, that costs less than the text
// did, and no stack.
type nesting struct {
	depth int
	last  uint64 // the innermost, up to 64: 1 for an object
	more  []uint64
}

func (n *nesting) open(object bool) {
	if n.depth > 0 && n.depth%64 == 0 {
		n.more = append(n.more, n.last)
	}
	n.depth++
	n.last <<= 1
	if object {
		n.last |= 1
	}
}

func (n *nesting) close() {
	n.depth--
	n.last >>= 1
	if n.depth > 0 && n.depth%64 == 0 {
		n.last = n.more[len(n.more)-1]
		n.more = n.more[:len(n.more)-1]
	}
}

// inObject reports whether the innermost is an object.
func (n *nesting) inObject() bool { return n.last&1 != 0 }
