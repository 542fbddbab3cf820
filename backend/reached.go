package backend

import "fmt"

// Reached is what something that was done came to, at all nodes of a cluster. It is no error that nodes did not answer, since
// the others have done it: who wants to know looks.
//
//	reached, err := client.Disconnect(ctx, backend.Users("42"), backend.DisconnectOptions{})
//	if err == nil && reached.Partial {
//		log.Printf("%d ended; try again for %q", reached.Count, reached.Unreachable)
//	}
type Reached struct {
	// Count is how many connections the target has, of those that were reached.
	Count int

	// Partial says that others may have been missed: nodes did not answer, or of several
	// namespaces one refused it. A single daemon reaches all.
	Partial bool

	// Unreachable are the names of the nodes that did not answer: whether they have done it is
	// not known.
	Unreachable []string
}

// coverage is what the daemon says of all that it was asked to do.
type coverage interface {
	GetPartial() bool
	GetUnreachable() []string
}

func reached(n uint32, c coverage) Reached {
	return Reached{Count: int(n), Partial: c.GetPartial(), Unreachable: c.GetUnreachable()}
}

// one is the error of what was done to one connection: it is done, or there is nobody any more to do it to, or neither
// is known.
func one(r Reached, err error) error {
	if err == nil && r.Count == 0 && r.Partial {
		err = fmt.Errorf("backend: one connection: %w", &PartialError{Unreachable: r.Unreachable})
	}
	return err
}
