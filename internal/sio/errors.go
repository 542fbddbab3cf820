package sio

import "errors"

var (
	// ErrUnknownNamespace: the target names a namespace that is not configured.
	ErrUnknownNamespace = errors.New("unknown namespace")
	// ErrTooManyRooms: a Join would put a connection into more rooms than it may be in.
	ErrTooManyRooms = errors.New("too many rooms for one connection")
	// ErrTooMuchData: an Update would give a connection more data than [MaxData].
	ErrTooMuchData = errors.New("a connection's data would exceed 64 KiB of JSON")
	// ErrNotFound: there is no connection with this id.
	ErrNotFound = errors.New("no such connection")
	// ErrElsewhere: another server may have the connection.
	ErrElsewhere = errors.New("the connection may be at another server")
	// ErrForgotten: what a connection that was cut off has missed is not known any more.
	ErrForgotten = errors.New("what the connection has missed is not known any more")
	// ErrBadCursor: the cursor is none, or one of another run of the server.
	ErrBadCursor = errors.New("not a cursor of this listing")
	// ErrTooLarge: the packet exceeds what may wait for one client, so that
	// sending it would close every connection it is meant for.
	ErrTooLarge = errors.New("packet exceeds the limit of a client's queue")
	// ErrBusy: too many answers are awaited already.
	ErrBusy = errors.New("too many answers are awaited")
	// ErrClosed: the server is shutting down.
	ErrClosed = errors.New("server shutting down")
)

// UnreachableError says that a node which would have to answer does not.
type UnreachableError struct{ Node string }

func (e *UnreachableError) Error() string { return "node " + e.Node + " does not answer" }
