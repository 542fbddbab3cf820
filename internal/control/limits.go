package control

import (
	"context"
	"fmt"
	"slices"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/control/identity"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// limited are the methods that callers with namespaces or rooms may call: those whose
// requests are held to them. docs/security.md says what each allows.
var limited = map[string]bool{
	fanoutv1.EmitterService_Emit_FullMethodName:               true,
	fanoutv1.EmitterService_EmitBatch_FullMethodName:          true,
	fanoutv1.EmitterService_EmitStream_FullMethodName:         true,
	fanoutv1.EmitterService_EmitWithAck_FullMethodName:        true,
	fanoutv1.EmitterService_Call_FullMethodName:               true,
	fanoutv1.EventService_Consume_FullMethodName:              true,
	fanoutv1.EventService_Reply_FullMethodName:                true,
	fanoutv1.EmitterService_Batch_FullMethodName:              true,
	fanoutv1.EmitterService_Execute_FullMethodName:            true,
	fanoutv1.EventService_Tail_FullMethodName:                 true,
	fanoutv1.RegistryService_ListConnections_FullMethodName:   true,
	fanoutv1.RegistryService_GetConnection_FullMethodName:     true,
	fanoutv1.RegistryService_CountConnections_FullMethodName:  true,
	fanoutv1.RegistryService_ListRooms_FullMethodName:         true,
	fanoutv1.RegistryService_ListUsers_FullMethodName:         true,
	fanoutv1.RegistryService_ListNamespaces_FullMethodName:    true,
	fanoutv1.RegistryService_Watch_FullMethodName:             true,
	fanoutv1.RegistryService_Join_FullMethodName:              true,
	fanoutv1.RegistryService_Leave_FullMethodName:             true,
	fanoutv1.RegistryService_Disconnect_FullMethodName:        true,
	fanoutv1.RegistryService_UpdateConnection_FullMethodName:  true,
	fanoutv1.RegistryService_UpdateConnections_FullMethodName: true,
}

// HoldsToLimits reports whether a method of the services holds its callers to their
// namespaces and rooms. Callers that have some may call no other.
func HoldsToLimits(method string) bool { return limited[method] }

// problemsOf returns no problems yet of the message at this path in a request of ctx's
// caller; an empty path is the request.
func problemsOf(ctx context.Context, at string) problems { return problemsAt(ctx, place{inner: at}) }

// problemsAt is problemsOf, of a message in another one.
func problemsAt(ctx context.Context, at place) problems {
	return problems{at: at, caller: identity.FromContext(ctx)}
}

// deny notes that the caller must not say what this field says; an empty one is the call
// as such.
func (p *problems) deny(field string) {
	if p.denied != nil {
		return
	}
	if field != "" {
		field = p.path(field)
	}
	p.denied = &identity.LimitError{Caller: p.caller.Name, Field: field}
}

// needNamespace denies a namespace that is none of the caller's.
func (p *problems) needNamespace(field, name string) {
	if !p.caller.Namespace(name) {
		p.deny(field)
	}
}

// needRooms denies rooms that are none of the caller's.
func (p *problems) needRooms(field string, names []string) {
	for i, name := range names {
		if !p.caller.Room(name) {
			p.deny(fmt.Sprintf("%s[%d]", field, i))
		}
	}
}

// needEveryRoom denies what reaches or shows connections whatever their rooms.
func (p *problems) needEveryRoom(field string) {
	if p.caller.EveryRoom() || p.denied != nil {
		return
	}
	p.deny(field)
	p.denied.Rooms = field == ""
}

// ownNamespaces are the names and patterns of the namespaces that the caller may name,
// none if that is all. What is no pattern of the dispatcher, which may read more into it,
// is left out.
func (p *problems) ownNamespaces() []string {
	own, some := p.caller.Namespaces()
	own = slices.DeleteFunc(own, func(name string) bool { return sio.CheckNamespace(name) != nil })
	if some && len(own) == 0 {
		p.deny("")
	}
	return own
}

// needConnection denies the connection that the fields namespace and id name. It may be
// in any rooms.
func (p *problems) needConnection(namespace string) {
	p.needNamespace("namespace", namespace)
	p.needEveryRoom("id")
}

// needTarget denies a target beyond the caller's namespaces and rooms. What it excepts
// may be anything, and so may its owner: that makes it smaller.
func (p *problems) needTarget(m *fanoutv1.Target) {
	p.needNamespace("to.namespace", namespacePattern(m.GetNamespace()))
	p.needRooms("to.rooms", m.GetRooms())
	switch {
	case m.GetAll():
		p.needEveryRoom("to.all")
	case len(m.GetIds()) > 0:
		p.needEveryRoom("to.ids")
	case len(m.GetUsers()) > 0:
		p.needEveryRoom("to.users")
	}
}

// errOutsideLimits is PERMISSION_DENIED for a call that does not keep to the namespaces
// and rooms of its key.
func errOutsideLimits(e *identity.LimitError) error {
	return keyLimited.err(e.Error(), e.Field, e.Caller)
}
