package control

import (
	"cmp"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/control/identity"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// denies fails unless st refuses a key for its limits, and names this field.
func denies(t *testing.T, st *status.Status, field string) {
	t.Helper()
	var info *errdetails.ErrorInfo
	if len(st.Details()) == 1 {
		info, _ = st.Details()[0].(*errdetails.ErrorInfo)
	}
	if st.Code() != codes.PermissionDenied || info.GetReason() != "KEY_LIMITED" || info.GetMetadata()["field"] != field || info.GetMetadata()["key"] != "limited" {
		t.Errorf("got %v with %v, want PERMISSION_DENIED, KEY_LIMITED of %q", st, info, field)
	}
}

// inNamespaces is inWorld with the namespaces "/", "/chat" and "/chess".
func inNamespaces(t *testing.T, f func(*world)) {
	t.Helper()
	o := sio.Options{Namespaces: []string{"/", "/chat", "/chess"}}
	for name, start := range map[string]func(*world, sio.Options, dispatch.Options){"one node": (*world).startNode, "from another node": (*world).startNodes} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, dispatch.Options{}, func(w *world, _ sio.Options, d dispatch.Options) { start(w, o, d) }, f)
		})
	}
}

// A key with namespaces consumes what happens in these, in a group with others too.
func TestConsumeKeepsToTheLimits(t *testing.T) {
	inNamespaces(t, func(w *world) {
		full := w.control.caller
		all := w.consume(&fanoutv1.ConsumeRequest_Open{ConsumerId: "full", Lifecycle: true, Namespaces: []string{"/"}})
		w.control.caller = callerWith(w.t, identity.Rights{Namespaces: []string{"ch*"}})
		own := w.consume(&fanoutv1.ConsumeRequest_Open{ConsumerId: "own", Lifecycle: true, Authorize: true})
		named := w.consume(&fanoutv1.ConsumeRequest_Open{Group: "h", Lifecycle: true, Namespaces: []string{"chess"}})

		w.connect("") // nobody has to allow it
		all.event("CONNECTED /")
		c := w.knock("40/chess,")
		connecting := own.event("CONNECTING /chess []")
		own.say(allowing(connecting.GetDeliveryId(), &fanoutv1.ConsumeRequest_Verdict_Allow{}))
		c.Next()
		own.say(acking(own.event("CONNECTED /chess").GetDeliveryId()))
		named.event("CONNECTED /chess")

		for _, namespace := range []string{"/", "/*", "*", "/nowhere"} {
			k := w.open(opening(&fanoutv1.ConsumeRequest_Open{Namespaces: []string{"/chat", namespace}})) // and no group
			denies(w.t, k.ends(codes.PermissionDenied), "open.namespaces[1]")
		}
		// Whom it may not replace, it is told at once; its own, and those of others by a
		// key without limits, as ever.
		k := w.open(opening(&fanoutv1.ConsumeRequest_Open{Group: "g", ConsumerId: "full"}))
		denies(w.t, k.ends(codes.PermissionDenied), "open.consumer_id")
		again := w.consume(&fanoutv1.ConsumeRequest_Open{ConsumerId: "own", Lifecycle: true})
		own.ends(codes.Aborted)
		w.control.caller = full
		w.consume(&fanoutv1.ConsumeRequest_Open{ConsumerId: "own", Lifecycle: true})
		again.ends(codes.Aborted)
		all.quiet()
	})
}

// A star alone asks for every namespace, also beside others, and for those who may name all.
func TestConsumeEveryNamespace(t *testing.T) {
	inNamespaces(t, func(w *world) {
		w.control.caller = callerWith(w.t, identity.Rights{Namespaces: []string{"/chat", "*"}})
		k := w.consume(&fanoutv1.ConsumeRequest_Open{Lifecycle: true, Namespaces: []string{"/chess", "*"}})
		tail := w.watch(&fanoutv1.TailRequest{Namespaces: []string{"*"}})
		for _, namespace := range []string{"", "/chat", "/chess"} {
			w.connect(namespace)
			full := cmp.Or(namespace, "/")
			k.say(acking(k.event("CONNECTED " + full).GetDeliveryId()))
			if e := seen(w.t, tail).GetEvent(); e.GetNamespace() != full {
				w.t.Errorf("the tail shows %v, want a connection to %s", e, namespace)
			}
		}
	})
}

// Events can't be limited by rooms, so a key with rooms hears none; nor does one whose
// patterns are none of namespaces.
func TestConsumeNeedsEveryRoom(t *testing.T) {
	inOneNode(t, dispatch.Options{}, func(w *world) {
		w.control.caller = callerWith(w.t, identity.Rights{Rooms: []string{"r"}})
		st := w.open(nil).ends(codes.PermissionDenied) // before a word of it is read
		denies(w.t, st, "")
		if !strings.Contains(st.Message(), "cannot be limited by rooms") {
			w.t.Errorf("the message is %q", st.Message())
		}
		_, err := w.client.Reply(w.ctx(), &fanoutv1.ReplyRequest{DeliveryId: "x"})
		denies(w.t, status.Convert(err), "")
		w.control.caller = callerWith(w.t, identity.Rights{Namespaces: []string{"/[a-z]*"}})
		denies(w.t, w.open(opening(&fanoutv1.ConsumeRequest_Open{Group: "g"})).ends(codes.PermissionDenied), "")
		_, err = w.client.Reply(w.ctx(), &fanoutv1.ReplyRequest{DeliveryId: "x"})
		denies(w.t, status.Convert(err), "")
	})
}

// A key with namespaces answers who waits in these. Of another namespace it cannot tell
// whether anybody waits, also on a stream.
func TestReplyKeepsToTheLimits(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		full := w.control.caller
		k := w.consume(&fanoutv1.ConsumeRequest_Open{})
		root, _ := w.connect("")
		chat, _ := w.connect("/chat")
		root.Say(`421["q"]`)
		elsewhere := k.event(`MESSAGE / q[]`).GetDeliveryId()
		chat.Say(`42/chat,1["q"]`)
		own := k.event(`MESSAGE /chat q[]`).GetDeliveryId()

		w.control.caller = callerWith(w.t, identity.Rights{Namespaces: []string{"/ch*"}})
		reply := func(id string) error {
			_, err := w.client.Reply(w.ctx(), &fanoutv1.ReplyRequest{DeliveryId: id, ArgsJson: "[1]"})
			return err
		}
		stranger := w.consume(&fanoutv1.ConsumeRequest_Open{Group: "h"})
		if err := reply(elsewhere); status.Code(err) != codes.FailedPrecondition {
			w.t.Errorf("got %v for another namespace, want FAILED_PRECONDITION", err)
		}
		stranger.say(replying(elsewhere, "[1]"))
		stranger.rejection(elsewhere, codes.FailedPrecondition, "")
		if err := reply(own); err != nil {
			w.t.Errorf("got %v for its namespace", err)
		}
		if got := chat.Next(); got != "43/chat,1[1]" {
			w.t.Errorf("the client got %q", got)
		}
		w.control.caller = full
		if err := reply(elsewhere); err != nil { // nobody has answered yet
			w.t.Errorf("got %v without limits", err)
		}
		if got := root.Next(); got != "431[1]" {
			w.t.Errorf("the client got %q", got)
		}
	})
}
