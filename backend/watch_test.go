package backend

import (
	"context"
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// told is a change as text.
func told(c *fanoutv1.WatchResponse_Change) string {
	switch c := c.GetChange().(type) {
	case *fanoutv1.WatchResponse_Change_Added:
		return fmt.Sprint("added, handshake: ", c.Added.GetConnection().GetHandshake() != nil)
	case *fanoutv1.WatchResponse_Change_Removed:
		return "removed"
	case *fanoutv1.WatchResponse_Change_RoomCreated:
		return "room " + c.RoomCreated.GetRoom()
	case *fanoutv1.WatchResponse_Change_RoomDeleted:
		return "no room " + c.RoomDeleted.GetRoom()
	case *fanoutv1.WatchResponse_Change_Joined:
		return fmt.Sprint("joined ", c.Joined.GetRooms())
	case *fanoutv1.WatchResponse_Change_Synced:
		return "synced " + c.Synced.GetNode()
	case *fanoutv1.WatchResponse_Change_Resync:
		return "resync " + c.Resync.GetNode()
	}
	return fmt.Sprintf("%T", c.GetChange())
}

// A watch tells what there is and what changes, and after a cut all of it again.
func TestWatch(t *testing.T) {
	inBubble(t, func(w *world) {
		client := w.dial()
		defer client.Close()
		browser, id := w.connect()
		defer browser.Close()
		ctx, cancel := context.WithCancel(w.t.Context())
		var n notes
		over := make(chan error)
		go func() {
			over <- client.Watch(ctx, All(), WatchOptions{
				Kinds: []WatchKind{WatchConnections, WatchRooms}, Handshake: true,
				Unreachable: func(nodes []string) { n.add(fmt.Sprint("away ", nodes)) },
			}, func(c *fanoutv1.WatchResponse_Change) { n.add(told(c)) })
		}()
		expect(t, "at first", n.take(), "added, handshake: true; synced ")
		if _, err := client.Join(ctx, IDs(id), "r"); err != nil {
			t.Fatal(err)
		}
		expect(t, "a room", n.take(), "room r; joined [r]")
		w.cut()
		time.Sleep(2 * longestPause)
		expect(t, "after a cut", n.take(), "resync ; room r; added, handshake: true; synced ")
		if _, err := client.Disconnect(ctx, IDs(id), DisconnectOptions{}); err != nil {
			t.Fatal(err)
		}
		expect(t, "the end", n.take(), "removed; no room r")
		cancel()
		if err := <-over; err != nil {
			t.Errorf("Watch: %v", err)
		}
		err := client.Watch(w.t.Context(), Target{}, WatchOptions{}, func(*fanoutv1.WatchResponse_Change) {})
		if status.Code(err) != codes.InvalidArgument {
			t.Errorf("of nobody: %v", err)
		}
	})
}

// Who is blocked is sent away and refused until the block is lifted, or over.
func TestBlock(t *testing.T) {
	inBubble(t, func(w *world) {
		client := w.dial()
		defer client.Close()
		browser, id := w.connect()
		defer browser.Close()
		ali := "ali"
		if _, err := client.Update(w.t.Context(), IDs(id), Update{User: &ali}); err != nil {
			t.Fatal(err)
		}
		who := Blocked{Users: []string{"ali"}, Addresses: []string{"203.0.113.0/24"}}
		blocks := func() (all []*fanoutv1.Block) {
			res, err := client.registry.ListBlocks(w.t.Context(), &fanoutv1.ListBlocksRequest{})
			if err != nil {
				t.Fatal(err)
			}
			return res.GetBlocks()
		}
		res, err := client.Block(w.t.Context(), who, BlockOptions{Until: time.Now().Add(time.Hour), Reason: "why", IdempotencyKey: "k"})
		if err != nil || res.GetAffected() != 1 || res.GetPartial() {
			t.Errorf("Block: %v, %v", res, err)
		}
		if again, err := client.Block(w.t.Context(), who, BlockOptions{Until: time.Now().Add(time.Hour), Reason: "why", IdempotencyKey: "k"}); err != nil || !again.GetDuplicate() {
			t.Errorf("Block again: %v, %v", again, err)
		}
		all := blocks()
		expect(t, "blocks", len(all), 2)
		for _, b := range all {
			if b.GetReason() != "why" || !b.GetUntil().AsTime().Equal(time.Now().Add(time.Hour)) {
				t.Errorf("block %v", b)
			}
		}
		lifted, err := client.Unblock(w.t.Context(), who)
		if err != nil || lifted.GetAffected() != 2 {
			t.Errorf("Unblock: %v, %v", lifted, err)
		}
		expect(t, "blocks that are left", len(blocks()), 0)
		if _, err := client.Block(w.t.Context(), Blocked{}, BlockOptions{}); status.Code(err) != codes.InvalidArgument {
			t.Errorf("of nobody: %v", err)
		}
	})
}
