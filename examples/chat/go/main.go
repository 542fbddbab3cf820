// Command chat is a small chat on fanoutd: everybody hears everybody, rooms are
// heard by who is in them, and the number of people is always up to date. It
// keeps nothing: run as many of it as you like.
//
//	go run ./examples/chat/go [address of the control API]
//
// A key is taken from $FANOUTD_CONTROL_KEY.
package main

import (
	"context"
	"errors"
	"log"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/fanoutd/fanoutd/backend"
)

// Limits in bytes on what browsers may send.
const (
	maxMessage = 2000
	maxName    = 100
)

type chat struct {
	daemon *backend.Client
	count  sync.Mutex
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	address := "localhost:8081"
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	daemon, err := backend.Dial(ctx, address, backend.Options{Key: os.Getenv("FANOUTD_CONTROL_KEY")})
	if err != nil {
		if ctx.Err() != nil {
			return
		}
		log.Fatal(err)
	}
	defer daemon.Close()

	c := &chat{daemon: daemon}
	// All chats share the work of one group, this one and those in other languages.
	consumer := daemon.Consumer(backend.ConsumerOptions{Group: "chat", Namespaces: []string{"/"}})
	consumer.OnConnect(c.sayCount)
	consumer.OnDisconnect(c.sayCount)
	consumer.On("send message", c.sendMessage)
	consumer.On("join room", c.joinRoom)
	consumer.On("leave room", c.leaveRoom)
	consumer.On("users count", c.usersCount)
	if err := consumer.Run(ctx); err != nil { // returns when all is settled after Ctrl-C
		log.Print(err)
	}
}

// sendMessage handles (msg, {name, room}); the second argument may be missing.
func (c *chat) sendMessage(ctx context.Context, e *backend.Event) (backend.Reply, error) {
	var msg string
	var more struct{ Name, Room string }
	if e.Args.Decode(&msg) != nil || e.Args.Len() > 1 && e.Args.Decode(nil, &more) != nil ||
		msg == "" || len(msg) > maxMessage || len(more.Name) > maxName || len(more.Room) > maxName {
		return wrong("a message is (text, {name, room})") // told, not retried: it would be wrong again
	}
	to := backend.All()
	if more.Room != "" {
		to = backend.Rooms(more.Room)
	}
	emit, err := backend.NewEmit(to, "new message", map[string]string{"msg": msg, "name": more.Name, "room": more.Room})
	if err != nil {
		return nil, err
	}
	emit.IdempotencyKey = e.Key() // should the event come again, the message does not
	if _, err := c.daemon.Send(ctx, emit); err != nil {
		return nil, err // the daemon brings the event again
	}
	return right()
}

func (c *chat) joinRoom(ctx context.Context, e *backend.Event) (backend.Reply, error) {
	room, ok := roomName(e)
	if !ok {
		return wrong("a room is a name")
	}
	if err := e.Join(ctx, room); err != nil {
		return nil, err
	}
	return right()
}

func (c *chat) leaveRoom(ctx context.Context, e *backend.Event) (backend.Reply, error) {
	room, ok := roomName(e)
	if !ok {
		return wrong("a room is a name")
	}
	if err := e.Leave(ctx, room); err != nil {
		return nil, err
	}
	return right()
}

func roomName(e *backend.Event) (room string, ok bool) {
	err := e.Args.Decode(&room)
	return room, err == nil && room != "" && len(room) <= maxName
}

// sayCount tells everybody how many there are.
func (c *chat) sayCount(ctx context.Context, _ *backend.Event) error {
	c.count.Lock() // the latest count is to be told last
	defer c.count.Unlock()
	n, err := c.users(ctx)
	if err != nil {
		return err
	}
	_, err = c.daemon.Emit(ctx, backend.All(), "users count", n)
	return err
}

// usersCount answers who asks.
func (c *chat) usersCount(ctx context.Context, _ *backend.Event) (backend.Reply, error) {
	n, err := c.users(ctx)
	return backend.Reply{n}, err
}

// users counts who is there: while a node of a cluster does not answer, those of the others.
func (c *chat) users(ctx context.Context) (int, error) {
	n, err := c.daemon.Count(ctx, backend.All())
	if _, ok := errors.AsType[*backend.PartialError](err); ok {
		return n, nil
	}
	return n, err
}

func right() (backend.Reply, error) { return backend.Reply{map[string]bool{"ok": true}}, nil }

func wrong(why string) (backend.Reply, error) {
	return backend.Reply{map[string]string{"error": why}}, nil
}
