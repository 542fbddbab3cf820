package control

import (
	"testing"
	"testing/synctest"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
)

// endsAborted wants the stream to end as ABORTED with this reason.
func (k *worker) endsAborted(reason string) {
	k.t.Helper()
	st := k.ends(codes.Aborted)
	if info, ok := st.Details()[0].(*errdetails.ErrorInfo); !ok || info.GetReason() != reason {
		k.t.Errorf("details: %v, want the reason %s", st.Details(), reason)
	}
}

func TestDeleteGroup(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		admin := fanoutv1.NewAdminServiceClient(w.conn)
		authorizes := &fanoutv1.ConsumeRequest_Open{Group: "g", Authorize: true, Namespaces: []string{"chat", "/c*"}}
		a, b := w.consume(authorizes), w.consume(authorizes)
		a.close()
		a.ends(codes.OK)
		resp, err := admin.DeleteGroup(w.ctx(), &fanoutv1.DeleteGroupRequest{Group: "g"})
		if err != nil || resp.GetAffected() != 1 || resp.GetPartial() {
			t.Errorf("got %v, %v", resp, err)
		}
		b.endsAborted("GROUP_DELETED")
		if _, err := admin.DeleteGroup(w.ctx(), &fanoutv1.DeleteGroupRequest{Group: "g"}); status.Code(err) != codes.NotFound {
			t.Errorf("once more: %v", err)
		}
		if _, err := admin.DeleteGroup(w.ctx(), nil); status.Code(err) != codes.InvalidArgument {
			t.Errorf("without a name: %v", err)
		}
	})
}

func TestDisconnectConsumer(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		admin := fanoutv1.NewAdminServiceClient(w.conn)
		k := w.consume(&fanoutv1.ConsumeRequest_Open{ConsumerId: "a"})
		req := &fanoutv1.DisconnectConsumerRequest{Group: "g", ConsumerId: "a"}
		if _, err := admin.DisconnectConsumer(w.ctx(), req); err != nil {
			t.Error(err)
		}
		k.endsAborted("CONSUMER_DISCONNECTED")
		if _, err := admin.DisconnectConsumer(w.ctx(), req); status.Code(err) != codes.NotFound {
			t.Errorf("once more: %v", err)
		}
		if _, err := admin.DisconnectConsumer(w.ctx(), nil); status.Code(err) != codes.InvalidArgument {
			t.Errorf("without names: %v", err)
		}
		w.consume(&fanoutv1.ConsumeRequest_Open{ConsumerId: "a"})
	})
}

// A group that authorises and has nobody is listed with a warning.
func TestGroupWithoutAuthorizer(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		list := func() *fanoutv1.ListConsumersResponse_Group {
			synctest.Wait()
			resp, err := fanoutv1.NewAdminServiceClient(w.conn).ListConsumers(w.ctx(), nil)
			if err != nil || len(resp.GetGroups()) != 1 {
				t.Fatalf("got %v, %v", resp, err)
			}
			return resp.GetGroups()[0]
		}
		k := w.consume(&fanoutv1.ConsumeRequest_Open{Authorize: true, Namespaces: []string{"/c*", "/"}})
		if g := list(); g.GetWarning() != "" || len(g.GetAuthorizedNamespaces()) != 2 || g.GetAuthorizedNamespaces()[1] != "/c*" {
			t.Errorf("with somebody: %v", g)
		}
		k.close()
		k.ends(codes.OK)
		if g := list(); g.GetWarning() == "" || len(g.GetConsumers()) != 0 {
			t.Errorf("with nobody: %v", g)
		}
	})
}
