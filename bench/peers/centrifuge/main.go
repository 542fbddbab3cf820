// The centrifuge library with what the benchmark needs, beside the Socket.IO servers: see
// ../socketio.mjs. It speaks a protocol of its own, over WebSocket at /connection/websocket: a
// client is subscribed to the channel "bench" and to the one that its query names as it connects.
//
//	peer PORT
package main

import (
	"context"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"

	"github.com/centrifugal/centrifuge"
)

type roomKey struct{}

func main() {
	node, err := centrifuge.New(centrifuge.Config{LogLevel: centrifuge.LogLevelError, LogHandler: func(e centrifuge.LogEntry) { log.Print(e.Message, e.Fields) }})
	if err != nil {
		log.Fatal(err)
	}
	node.OnConnecting(func(ctx context.Context, _ centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		to := map[string]centrifuge.SubscribeOptions{"bench": {}}
		if room, _ := ctx.Value(roomKey{}).(string); room != "" {
			to[room] = centrifuge.SubscribeOptions{}
		}
		return centrifuge.ConnectReply{Credentials: &centrifuge.Credentials{}, Subscriptions: to}, nil
	})
	if err := node.Run(); err != nil {
		log.Fatal(err)
	}
	clients := centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{CheckOrigin: func(*http.Request) bool { return true }})
	http.HandleFunc("/connection/websocket", func(w http.ResponseWriter, r *http.Request) {
		clients.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), roomKey{}, r.URL.Query().Get("room"))))
	})
	http.HandleFunc("POST /emit", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		number := func(name string) int { n, _ := strconv.Atoi(r.URL.Query().Get(name)); return n }
		data, _ := json.Marshal([]string{"m", string(body)})
		for i := range number("n") {
			channel := "bench"
			if rooms := number("rooms"); rooms > 0 {
				channel = "r" + strconv.Itoa((number("start")+i)%rooms)
			}
			if _, err := node.Publish(channel, data); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
		}
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], nil))
}
