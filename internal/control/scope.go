package control

import (
	"sync"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/control/identity"
)

// ScopeOf returns the scope that a call of this method of the contract needs, by the
// method's full name: "/fanout.v1.EmitterService/Emit". Of one that the contract has
// without a scope it is empty. It is false for any other.
func ScopeOf(method string) (scope identity.Scope, known bool) {
	scope, known = scopes()[method]
	return scope, known
}

// scopes are those of all methods in fanout.v1.
var scopes = sync.OnceValue(func() map[string]identity.Scope {
	all := map[string]identity.Scope{}
	protoregistry.GlobalFiles.RangeFilesByPackage("fanout.v1", func(f protoreflect.FileDescriptor) bool {
		for i := range f.Services().Len() {
			service := f.Services().Get(i)
			for j := range service.Methods().Len() {
				m := service.Methods().Get(j)
				scope, _ := proto.GetExtension(m.Options(), fanoutv1.E_Scope).(string)
				all["/"+string(service.FullName())+"/"+string(m.Name())] = identity.Scope(scope)
			}
		}
		return true
	})
	return all
})

// errScopeMissing is PERMISSION_DENIED for a call whose key is not for it.
func errScopeMissing(e *identity.ScopeError) error {
	return scopeMissing.err(e.Error(), string(e.Scope), e.Caller)
}
