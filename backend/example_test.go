package backend_test

import (
	"context"
	"log"
	"os"
	"os/signal"

	"github.com/fanoutd/fanoutd/backend"
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
