package parser

import (
	"fmt"
	"strconv"
)

// placeholders checks the objects of a text that stand for attachments: those
// whose "_placeholder" is true (socket.io-parser/lib/binary.ts,
// reconstructPacket). Each needs a "num", the number of an attachment that is
// there; other members do not count, nor does what is nested in one.
type placeholders struct {
	attachments int // how many the packet has

	open  []object // the objects around the scanner
	wrong string   // what is wrong with the first that is
	at    int      // where that one begins
}

// object is what is known of an object that is open. Of equal keys the last one
// counts, as in JavaScript.
type object struct {
	at     int    // where it begins
	num    int8   // an attachment's number, or one of the following
	member member // the one being read
	stands bool
}

const (
	numMissing = -1
	numTooHigh = -2
)

// member tells the members that matter from the others.
type member uint8

const (
	memberOther member = iota
	memberPlaceholder
	memberNum
)

func (p *placeholders) begin(at int) {
	p.open = append(p.open, object{at: at, num: numMissing})
}

// key notes the key of the member that comes next.
func (p *placeholders) key(literal []byte) {
	o := &p.open[len(p.open)-1]
	switch {
	case isString(literal, "_placeholder"):
		o.member, o.stands = memberPlaceholder, false
	case isString(literal, "num"):
		o.member, o.num = memberNum, numMissing
	default:
		o.member = memberOther
	}
}

// value notes the value of the innermost object's member; those of arrays and
// objects need not be noted.
func (p *placeholders) value(literal []byte) {
	switch o := &p.open[len(p.open)-1]; o.member {
	case memberPlaceholder:
		o.stands = string(literal) == "true"
	case memberNum:
		o.num = p.number(literal)
	}
}

// number reads a number as JavaScript does: 1.0 and 1e0 are 1.
func (p *placeholders) number(literal []byte) int8 {
	if literal[0] != '-' && (literal[0] < '0' || literal[0] > '9') {
		return numMissing
	}
	f, _ := strconv.ParseFloat(string(literal), 64) // beyond its range: infinity
	switch {
	case f >= float64(p.attachments):
		return numTooHigh
	case f < 0, f != float64(int8(f)):
		return numMissing
	}
	return int8(f)
}

// end ends the innermost object and returns the number of the attachment that it
// stands for, if it does.
func (p *placeholders) end() (attachment int, ok bool) {
	o := p.open[len(p.open)-1]
	p.open = p.open[:len(p.open)-1]
	if !o.stands {
		return 0, false
	}
	if p.wrong != "" && p.at > o.at {
		p.wrong = "" // it was nested in this one
	}
	switch {
	case o.num >= 0:
		return int(o.num), true
	case p.wrong != "":
	case o.num == numTooHigh:
		p.wrong, p.at = fmt.Sprintf("a placeholder's num is none of the %d attachments'", p.attachments), o.at
	default:
		p.wrong, p.at = `a placeholder needs "num", the number of its attachment`, o.at
	}
	return 0, false
}
