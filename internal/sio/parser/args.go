package parser

import (
	"fmt"
	"unicode/utf8"
)

// ArgsError says what is wrong with the arguments of an event to be sent.
type ArgsError struct {
	Field string // "args" or "attachments"
	Msg   string // for the author of the arguments; does not name Field
}

func (e *ArgsError) Error() string { return "parser: " + e.Field + ": " + e.Msg }

// CheckArgs checks the arguments of an event before it is sent to clients that
// would drop their connection over it: argsJSON is the text of a JSON array
// (empty: no arguments) in which, if there are attachments, each placeholder has
// its attachment. Attachments without a placeholder, or with several, pass, as
// clients send them too. The error is an [*ArgsError].
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
	s := newScanner(argsJSON, attachments)
	value, ok := s.document()
	switch {
	case !ok:
		return &ArgsError{"args", s.problem()}
	case value[0] != '[':
		return &ArgsError{"args", "not a JSON array"}
	}
	return nil
}
