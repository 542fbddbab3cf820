package parser

// layout notes, in the order of their opening, how many elements each array and
// how many members each object of a JSON text has, or which attachment stands
// in its place: what MessagePack wants to know before the first of them. A nil
// layout notes nothing.
type layout []uint32

// standsFor marks the number of an attachment.
const standsFor = 1 << 31

func (l *layout) open() (slot int) {
	if l == nil {
		return 0
	}
	*l = append(*l, 0)
	return len(*l) - 1
}

func (l *layout) close(slot, n int) {
	if l != nil {
		(*l)[slot] = uint32(n)
	}
}

func (l *layout) stand(slot, attachment int) {
	if l != nil {
		(*l)[slot] = standsFor | uint32(attachment)
	}
}
