package control

import (
	"slices"
	"testing"

	"google.golang.org/grpc"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/control/identity"
)

// Every RPC of the contract has a scope that a key can have, or holds each of the operations
// in its requests to one.
func TestEveryMethodHasAScope(t *testing.T) {
	ofOperations := []string{fanoutv1.EmitterService_Execute_FullMethodName, fanoutv1.EmitterService_Batch_FullMethodName}
	for method, scope := range scopes() {
		if slices.Contains(ofOperations, method) {
			if scope != identity.Any {
				t.Errorf("%s has the scope %q, want %q", method, scope, identity.Any)
			}
			continue
		}
		if !scope.Known() {
			t.Errorf("%s has the scope %q, want one of %q", method, scope, identity.Scopes())
		}
	}
}

// ScopeOf knows every method that is served, and no other.
func TestScopeOf(t *testing.T) {
	served := 0
	for _, s := range []grpc.ServiceDesc{
		fanoutv1.EmitterService_ServiceDesc, fanoutv1.RegistryService_ServiceDesc,
		fanoutv1.EventService_ServiceDesc, fanoutv1.AdminService_ServiceDesc,
	} {
		var names []string
		for _, m := range s.Methods {
			names = append(names, m.MethodName)
		}
		for _, m := range s.Streams {
			names = append(names, m.StreamName)
		}
		for _, name := range names {
			served++
			if _, known := ScopeOf("/" + s.ServiceName + "/" + name); !known {
				t.Errorf("%s of %s is not known", name, s.ServiceName)
			}
		}
	}
	if n := len(scopes()); n != served {
		t.Errorf("%d methods have a scope, %d are served here", n, served)
	}
	for _, tt := range []struct {
		method string
		want   identity.Scope
		known  bool
	}{
		{fanoutv1.EmitterService_Call_FullMethodName, identity.Emit, true},
		{fanoutv1.RegistryService_ListRooms_FullMethodName, identity.Read, true},
		{fanoutv1.RegistryService_UpdateConnection_FullMethodName, identity.Write, true},
		{fanoutv1.RegistryService_Disconnect_FullMethodName, identity.Disconnect, true},
		{fanoutv1.EventService_Reply_FullMethodName, identity.Consume, true},
		{fanoutv1.EventService_Tail_FullMethodName, identity.Tail, true},
		{fanoutv1.AdminService_GetServerInfo_FullMethodName, identity.Admin, true},
		{"/fanout.v1.EmitterService/emit", "", false},
		{"/fanout.hook.v1.HookService/Authorize", "", false},
		{"", "", false},
	} {
		if got, known := ScopeOf(tt.method); got != tt.want || known != tt.known {
			t.Errorf("%q: got %q, %v, want %q, %v", tt.method, got, known, tt.want, tt.known)
		}
	}
	if slices.Contains(identity.Scopes(), "") {
		t.Error("a key may have the empty scope")
	}
}
