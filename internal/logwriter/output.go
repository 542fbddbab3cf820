package logwriter

import (
	"bytes"
	"io"
)

// output is the other writer, and what is missing there. It is not safe for concurrent use.
type output struct {
	to     io.Writer
	note   func(lines uint64) []byte
	untold uint64 // lines that are missing behind the last one, and that nothing says so of
	torn   bool   // the last line has no end
}

// write writes lines, after a note of those that are missing before them. It returns how
// many of them it could not write.
func (o *output) write(lines []byte) (failed uint64) {
	rest := lines
	if o.untold == 0 || o.put(o.note(o.untold)) {
		o.untold = 0
		rest = lines[o.putSome(lines):]
	}
	failed = uint64(bytes.Count(rest, newline))
	o.untold += failed
	return failed
}

var newline = []byte("\n")

// put reports whether all of text was written.
func (o *output) put(text []byte) bool { return o.putSome(text) == len(text) }

// putSome returns how many bytes of text, which begins a line, were written.
func (o *output) putSome(text []byte) (n int) {
	if len(text) == 0 {
		return 0
	}
	if o.torn {
		if _, err := o.to.Write(newline); err != nil {
			return 0
		}
		o.torn = false
	}
	n, _ = o.to.Write(text) // what it did not take says that there was an error
	if n > 0 {
		o.torn = text[n-1] != '\n'
	}
	return n
}
