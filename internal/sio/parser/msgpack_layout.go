package parser

// layout notes, in the order of their opening, how many elements each array and
// how many members each object of a JSON text has, or which attachment stands
// in its place: what MessagePack wants to know before the first of them.
type layout struct {
	sizes []uint32
	open  []int // those not closed yet, by their place in sizes
}

// standsFor marks the number of an attachment.
const standsFor = 1 << 31

func (l *layout) begin() {
	l.open = append(l.open, len(l.sizes))
	l.sizes = append(l.sizes, 0)
}

// count counts an element or a member of the innermost.
func (l *layout) count() { l.sizes[l.open[len(l.open)-1]]++ }

func (l *layout) end() { l.open = l.open[:len(l.open)-1] }

// stand ends the innermost: the attachment is in its place, and nothing in it
// counts.
func (l *layout) stand(attachment int) {
	at := l.open[len(l.open)-1]
	l.sizes = append(l.sizes[:at], standsFor|uint32(attachment))
	l.end()
}
