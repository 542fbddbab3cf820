package admission

import (
	"maps"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio"
)

// NotAuthorized is what clients are told if the source that refused them gave no message.
const NotAuthorized = "not authorized"

// Merge returns what a connection is granted that was granted sofar, and then
// more. It is the only such rule:
//
//   - the user is more's, if it names one;
//   - rooms are those of both;
//   - data is that of both; a key that both have is more's;
//   - the expiry is the earlier one, so that no grant outlives an earlier one.
//
// It is a refusal if that has expired. sofar and more are not changed.
func Merge(sofar, more sio.Admission) (sio.Admission, error) {
	a := sofar
	if more.User != "" {
		a.User = more.User
	}
	if len(more.Rooms) > 0 {
		a.Rooms = append(sofar.Rooms[:len(sofar.Rooms):len(sofar.Rooms)], more.Rooms...)
	}
	switch {
	case len(more.Data) == 0:
	case len(sofar.Data) == 0:
		a.Data = more.Data
	default:
		a.Data = maps.Clone(sofar.Data)
		maps.Copy(a.Data, more.Data)
	}
	if a.Expire.IsZero() || !more.Expire.IsZero() && more.Expire.Before(a.Expire) {
		a.Expire = more.Expire
	}
	if !a.Expire.IsZero() && !a.Expire.After(time.Now()) {
		return sio.Admission{}, &sio.Refusal{Message: NotAuthorized}
	}
	return a, nil
}
