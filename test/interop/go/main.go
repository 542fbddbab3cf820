// Command go is the Go client of zishang520: go URL TRANSPORT TOKEN.
package main

import (
	"fmt"
	"log"
	"os"

	client "github.com/zishang520/socket.io/clients/socket/v3"
	"github.com/zishang520/socket.io/servers/socket/v3"
	"github.com/zishang520/socket.io/v3/pkg/types"
)

func main() {
	url, transport, token := os.Args[1], os.Args[2], os.Args[3]
	opts := client.DefaultOptions()
	opts.SetAuth(map[string]any{"token": token})
	opts.SetReconnectionDelay(50)
	opts.SetReconnectionDelayMax(500)
	switch transport {
	case "websocket":
		opts.SetTransports(types.NewSet(client.WebSocket))
	case "polling":
		opts.SetTransports(types.NewSet(client.Polling))
	default:
		opts.SetTransports(types.NewSet(client.Polling, client.WebSocket))
	}
	c, err := client.Connect(url, opts)
	if err != nil {
		log.Fatal(err)
	}

	left := make(chan struct{})
	on := func(event types.EventName, handler func(args ...any)) {
		if err := c.On(event, handler); err != nil {
			log.Fatal(err)
		}
	}
	emit := func(event string, args ...any) {
		if err := c.Emit(event, args...); err != nil {
			log.Fatal(err)
		}
	}
	on("echo", func(args ...any) { emit("echoed", args...) })
	on("call me", func(args ...any) {
		emit("question", append(args, func(answer []any, err error) {
			if err == nil {
				emit("answer", answer...)
			}
		})...)
	})
	on("ask", func(args ...any) {
		last := len(args) - 1
		args[last].(socket.Ack)(args[:last], nil)
	})
	on("bye", func(...any) {
		c.Io().Engine().Once("close", func(...any) { close(left) })
		c.Disconnect()
	})
	on("connect_error", func(why ...any) { fmt.Println("refused:", why[0]) })
	<-left
}
