package backend_test

import (
	"context"
	"log"
	"os"
	"os/signal"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/fanoutd/fanoutd/backend"
	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// A backend that greets, answers and tells others. A browser would say
//
//	socket.on("welcome", (text) => …);
//	socket.emit("order", { item: "tea" }, (answer) => …);
func Example() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	client, err := backend.Dial(ctx, "localhost:8081", backend.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	c := client.Consumer(backend.ConsumerOptions{Group: "orders"})
	c.OnConnect(func(ctx context.Context, e *backend.Event) error {
		return e.Emit(ctx, "welcome", "good to see you")
	})
	c.On("order", func(ctx context.Context, e *backend.Event) (backend.Reply, error) {
		var order struct {
			Item string `json:"item"`
		}
		if err := e.Args.Decode(&order); err != nil {
			return nil, err // the browser's mistake: settled, without a reply
		}
		if _, err := client.Emit(ctx, backend.Rooms("kitchen"), "order", order); err != nil {
			return nil, err // the event comes again
		}
		return backend.Reply{"in the kitchen"}, nil
	})
	if err := c.Run(ctx); err != nil {
		log.Fatal(err)
	}
}

// Who may connect is decided by the backend: the client gets the refusal in its
// connect_error handler, as err.message and err.data.
func ExampleConsumer_OnConnecting() {
	var client *backend.Client // of Dial
	c := client.Consumer(backend.ConsumerOptions{Group: "gate"})
	c.OnConnecting(func(_ context.Context, e *backend.Event) (backend.Grant, error) {
		var auth struct {
			Token string `json:"token"`
		}
		if err := e.Args.Decode(&auth); err != nil {
			return backend.Grant{}, err
		}
		if auth.Token != "open sesame" {
			return backend.Grant{}, &backend.Refusal{Message: "who are you?", Data: map[string]any{"code": 4001}}
		}
		return backend.Grant{UserID: "ali", Rooms: []string{"cave"}}, nil
	})
	_ = c.Run // as above
}

// An event may come twice. With its key in the emit, what it causes does not.
func ExampleEvent_Key() {
	var client *backend.Client // of Dial
	var c *backend.Consumer    // of client.Consumer
	c.On("bid", func(ctx context.Context, e *backend.Event) (backend.Reply, error) {
		emit, err := backend.NewEmit(backend.All(), "price", e.Args.JSON())
		if err != nil {
			return nil, err
		}
		emit.IdempotencyKey = "price " + e.Key() // one for each emit of a handler
		_, err = client.Send(ctx, emit)
		return nil, err
	})
}

// A program that keeps a value for each of its connections. When it starts it is told of
// those that are there.
func ExampleConsumer_OnAssigned() {
	var client *backend.Client // of Dial
	var mu sync.Mutex
	pages := map[string]string{} // by connection
	c := client.Consumer(backend.ConsumerOptions{Group: "pages"})
	c.OnAssigned(func(_ context.Context, a *backend.Assigned) {
		mu.Lock()
		defer mu.Unlock()
		pages[a.ID] = a.Connection.GetHandshake().GetQuery()["page"]
	})
	c.OnReleased(func(conn backend.Conn) {
		mu.Lock()
		defer mu.Unlock()
		delete(pages, conn.ID)
	})
	_ = c.Run // as above
}

// Commands take effect in the order in which they are given: the browser gets the event
// before the reply, and nobody waits in between.
func ExampleCommands() {
	ctx := context.Background()
	var client *backend.Client // of Dial
	var c *backend.Consumer    // of client.Consumer
	x := client.Commands(ctx)
	c.On("join", func(_ context.Context, e *backend.Event) (backend.Reply, error) {
		var room string
		if err := e.Args.Decode(&room); err != nil {
			return nil, err
		}
		x.Join(e.Target(), room)
		x.Emit(backend.Rooms(room).Without(e.ID), "joined", e.ID)
		x.Reply(e, "welcome")
		return nil, nil
	})
	// A question to a browser holds up none of that.
	answer := x.Call(backend.Conn{ID: "…", Namespace: "/"}, time.Minute, "still there?")
	if args, err := answer.Wait(ctx); err == nil {
		log.Print("it says ", args.JSON())
	}
	if err := x.Close(); err != nil { // when all that was given is answered
		log.Fatal(err)
	}
}

// A login after the connect: the connection is the user's from then on, and recovers as
// it.
func ExampleConn_Update() {
	var c *backend.Consumer // of client.Consumer
	c.On("login", func(ctx context.Context, e *backend.Event) (backend.Reply, error) {
		user := "42" // whom its arguments prove to be there
		if err := e.Update(ctx, backend.Update{User: &user}); err != nil {
			return nil, err
		}
		return backend.Reply{"ok"}, nil
	})
}

// Backends tell each other what each of them has to know.
func ExampleConsumer_OnPublished() {
	ctx := context.Background()
	var client *backend.Client // of Dial
	c := client.Consumer(backend.ConsumerOptions{Group: "chat"})
	c.OnPublished("settings changed", func(_ context.Context, m *backend.Message) (backend.Reply, error) {
		var name string
		if err := m.Args.Decode(&name); err != nil {
			return nil, err
		}
		log.Print("reading anew: ", name)
		return backend.Reply{"done"}, nil
	})
	_ = c.Run // as above

	res, err := client.Publish(ctx, &fanoutv1.PublishRequest{
		Topic: "settings changed", Group: "chat", Timeout: durationpb.New(time.Second),
	}, "limits")
	if err == nil {
		log.Printf("%d did, and %d did not say so", len(res.GetAnswers()), len(res.GetMissing()))
	}
}
