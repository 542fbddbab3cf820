// Command peer is zishang520/socket.io with the handlers that the benchmark
// needs: see ../socketio.mjs.
//
//	peer PORT
//
// It is a module of its own, so that nothing of it enters the benchmark's.
package main

import (
	"io"
	"log"
	"net/http"
	"os"
	"strconv"

	"github.com/zishang520/socket.io/servers/socket/v3"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: peer PORT")
	}
	server := socket.NewServer(nil, nil)
	err := server.On("connection", func(clients ...any) {
		client := clients[0].(*socket.Socket)
		client.Join("bench")
		err := client.On("echo", func(args ...any) {
			answer := args[len(args)-1].(socket.Ack)
			answer(args[:1], nil)
		})
		if err != nil {
			log.Fatal(err)
		}
	})
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("/socket.io/", server.ServeHandler(nil))
	http.HandleFunc("POST /emit", func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.URL.Query().Get("n"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		for range n {
			if err := server.To("bench").Emit("m", string(body)); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
		}
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], nil))
}
