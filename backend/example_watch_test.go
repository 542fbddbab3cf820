package backend_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/fanoutd/fanoutd/backend"
	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/blocks"
	"github.com/fanoutd/fanoutd/internal/control"
	"github.com/fanoutd/fanoutd/internal/control/grpcserver"
	"github.com/fanoutd/fanoutd/internal/control/identity"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// Who is online: the users that have connections.
func ExampleClient_Watch() {
	address, end := daemon()
	defer end()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	client, err := backend.Dial(ctx, address, backend.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	online := map[string]bool{}
	err = client.Watch(ctx, backend.All(), backend.WatchOptions{Kinds: []backend.WatchKind{backend.WatchUsers}}, func(c *fanoutv1.WatchResponse_Change) {
		switch c := c.GetChange().(type) {
		case *fanoutv1.WatchResponse_Change_UserOnline:
			online[c.UserOnline.GetUserId()] = true
		case *fanoutv1.WatchResponse_Change_UserOffline:
			delete(online, c.UserOffline.GetUserId())
		case *fanoutv1.WatchResponse_Change_Resync:
			if c.Resync.GetNode() == "" { // the stream was lost: all is told again
				clear(online)
			}
		case *fanoutv1.WatchResponse_Change_Synced:
			fmt.Println(len(online), "users are online")
			stop() // a program goes on, of course
		}
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: 0 users are online
}

// A user who misbehaves is sent away for an hour, and what is known of the addresses of
// such people for good.
func ExampleClient_Block() {
	address, end := daemon()
	defer end()
	ctx := context.Background()
	client, err := backend.Dial(ctx, address, backend.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	res, err := client.Block(ctx, backend.Blocked{Users: []string{"mallory"}}, backend.BlockOptions{
		Until: time.Now().Add(time.Hour), Reason: "spam",
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(res.GetAffected(), "connections ended")
	if res.GetPartial() {
		fmt.Println("not yet in force at", res.GetUnreachable())
	}
	if _, err := client.Block(ctx, backend.Blocked{Addresses: []string{"203.0.113.0/24"}}, backend.BlockOptions{}); err != nil {
		log.Fatal(err)
	}

	lifted, err := client.Unblock(ctx, backend.Blocked{Users: []string{"mallory"}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(lifted.GetAffected(), "block lifted")
	// Output:
	// 0 connections ended
	// 1 block lifted
}

// daemon starts a daemon without browsers, until end is called.
func daemon() (address string, end func()) {
	quiet := slog.New(slog.DiscardHandler)
	keeper, err := blocks.NewKeeper("here", nil, quiet)
	if err != nil {
		log.Fatal(err)
	}
	o := sio.Options{Namespaces: []string{"/"}, Blocks: keeper}
	o.Engine.Logger = quiet
	sockets, err := sio.NewServer(o)
	if err != nil {
		log.Fatal(err)
	}
	keeper.Enforce(sockets)
	dispatcher := dispatch.New(dispatch.Options{Logger: quiet})
	services := control.New(sockets, control.Options{Dispatcher: control.DispatcherOf(dispatcher), Blocks: control.BlocksOf(keeper), Logger: quiet})
	callers, err := identity.NewAuthenticator(nil, true)
	if err != nil {
		log.Fatal(err)
	}
	api := grpcserver.New(services, callers, grpcserver.Options{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = api.Serve(l) })
	return l.Addr().String(), func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_ = api.Shutdown(ctx)
		services.Wait()
		_ = sockets.Shutdown(ctx)
		serving.Wait()
	}
}
