// Package stack spares goroutines that are many and short-lived the growing of their
// stacks.
package stack

// reserved is, in bytes, what Reserve makes room for: with it a stack has 16 KiB.
const reserved = 12 << 10

// Reserve grows the stack of the calling goroutine to 16 KiB. It is for the first line
// of a goroutine that is going to need most of that: a stack starts at 2 KiB and is
// copied each time it doubles, with all its frames looked at, which costs the less the
// fewer there are. What is not needed the garbage collector takes back. It changes
// nothing where the stack is large enough.
func Reserve() { touch(reserved - 1) }

// touch has a frame of that size. It reads an element that the compiler cannot know,
// or there would be none.
//
//go:noinline
func touch(i int) byte {
	var frame [reserved]byte
	return frame[i]
}
