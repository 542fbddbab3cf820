package admission

import (
	"context"

	"github.com/fanoutd/fanoutd/internal/sio"
)

// NotBlocked is a source that refuses users who are blocked, as far as those before it have
// named them: so those behind it are not asked in vain. The server asks once more about
// whom they let in.
type NotBlocked struct {
	// User reports whether a user is blocked.
	User func(name string) bool
}

var _ Source = NotBlocked{}

// Decide implements Source.
func (b NotBlocked) Decide(_ context.Context, _ *Request, sofar sio.Admission) (sio.Admission, error) {
	if sofar.User != "" && b.User(sofar.User) {
		return sio.Admission{}, sio.ErrBlocked
	}
	return sofar, nil
}
