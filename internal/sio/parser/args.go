package parser

import (
	"fmt"
	"math/bits"
	"unicode/utf8"
)

// ArgsError says what is wrong with the arguments of an event to be sent.
type ArgsError struct {
	Field string // "args" or "attachments"
	Msg   string // for whoever wrote them; says nothing of Field
}

func (e *ArgsError) Error() string { return "parser: " + e.Field + ": " + e.Msg }

// CheckArgs checks the arguments of an event before it is sent to clients that
// would drop their connection over it: argsJSON is the text of a JSON array
// (empty: no arguments) in which each attachment has its placeholder, at least
// once, and each placeholder its attachment. The error is an [*ArgsError].
func CheckArgs(argsJSON []byte, attachments int) error {
	if attachments > MaxAttachments {
		return &ArgsError{"attachments", fmt.Sprintf("%d attachments, but clients take at most %d", attachments, MaxAttachments)}
	}
	if len(argsJSON) == 0 {
		argsJSON = []byte("[]")
	}
	if !utf8.Valid(argsJSON) {
		return &ArgsError{"args", "not valid UTF-8"}
	}
	s := scanner{b: argsJSON, placeholders: true, attachments: attachments}
	value, ok := s.document()
	switch {
	case !ok:
		return &ArgsError{"args", s.problem()}
	case value[0] != '[':
		return &ArgsError{"args", "not a JSON array"}
	}
	if unused := bits.TrailingZeros32(^s.used); unused < attachments {
		return &ArgsError{"attachments", fmt.Sprintf(
			`attachment %d is not used: {"_placeholder":true,"num":%d} is missing in the arguments`, unused, unused)}
	}
	return nil
}
