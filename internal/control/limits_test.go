package control

import (
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/control/identity"
	"github.com/fanoutd/fanoutd/internal/dispatch"
)

// lacks fails unless st refuses a key that lacks this scope.
func lacks(t *testing.T, st *status.Status, scope identity.Scope) {
	t.Helper()
	var info *errdetails.ErrorInfo
	if len(st.Details()) == 1 {
		info, _ = st.Details()[0].(*errdetails.ErrorInfo)
	}
	if st.Code() != codes.PermissionDenied || info.GetReason() != "SCOPE_MISSING" || info.GetMetadata()["scope"] != string(scope) {
		t.Errorf("got %v with %v, want PERMISSION_DENIED, SCOPE_MISSING of %s", st, info, scope)
	}
}

// To authorise needs its own scope beside that of Consume, whatever else is wrong with
// the request; without it the group does not begin to.
func TestConsumeNeedsTheScopeToAuthorize(t *testing.T) {
	inOneNode(t, dispatch.Options{}, func(w *world) {
		w.control.caller = callerWith(t, identity.Rights{Scopes: []identity.Scope{identity.Consume}})
		for _, group := range []string{"g", ""} {
			k := w.open(opening(&fanoutv1.ConsumeRequest_Open{Group: group, Authorize: true}))
			lacks(w.t, k.ends(codes.PermissionDenied), identity.Authorize)
		}
		c, _ := w.connect("") // nobody has to allow it
		c.Close()
		w.consume(&fanoutv1.ConsumeRequest_Open{}).close()

		w.control.caller = callerWith(t, identity.Rights{Scopes: []identity.Scope{identity.Consume, identity.Authorize}})
		w.consume(&fanoutv1.ConsumeRequest_Open{Authorize: true}).close()
	})
}
