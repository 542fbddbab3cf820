// Command emitdriver lets a load harness emit through the control API.
//
// It reads one emit a line on standard input,
//
//	{"rooms":1,"start":0,"n":4,"size":100,"ts":0}
//
// meaning n messages of event "m" with one string of size bytes, message i to
// room r<(start+i) mod rooms>; a ts of 19 digits opens the string behind a "T".
// It prints one line when the daemon has acknowledged them all.
//
// Before the first emit it joins every connection to the room its handshake
// query names ("room"), since the daemon itself runs no application code.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

type request struct {
	Rooms, Start, N, Size int
	TS                    int64
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: emitdriver CONTROL_ADDRESS")
	}
	conn, err := grpc.NewClient(os.Args[1], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	if err := join(ctx, fanoutv1.NewRegistryServiceClient(conn)); err != nil {
		log.Fatal("joining: ", err)
	}
	stream, err := fanoutv1.NewEmitterServiceClient(conn).EmitStream(ctx)
	if err != nil {
		log.Fatal(err)
	}
	var d driver
	go d.acks(stream)
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		var r request
		if err := json.Unmarshal(in.Bytes(), &r); err != nil {
			log.Fatal(err)
		}
		if err := d.emit(stream, r); err != nil {
			log.Fatal(err)
		}
	}
}

// join puts every connection into the room its query asks for.
func join(ctx context.Context, registry fanoutv1.RegistryServiceClient) error {
	rooms := map[string][]string{}
	all := &fanoutv1.Target{All: true}
	for token := ""; ; {
		page, err := registry.ListConnections(ctx, &fanoutv1.ListConnectionsRequest{To: all, PageSize: 1000, PageToken: token, View: fanoutv1.Connection_FULL})
		if err != nil {
			return err
		}
		for _, c := range page.Connections {
			if r := c.Handshake.Query["room"]; r != "" {
				rooms[r] = append(rooms[r], c.Id)
			}
		}
		if token = page.NextPageToken; token == "" {
			break
		}
	}
	for room, ids := range rooms {
		for len(ids) > 0 {
			n := min(len(ids), 1000)
			if _, err := registry.Join(ctx, &fanoutv1.JoinRequest{To: &fanoutv1.Target{Ids: ids[:n]}, Rooms: []string{room}}); err != nil {
				return err
			}
			ids = ids[n:]
		}
	}
	return nil
}

type driver struct {
	sequence uint64

	mu   sync.Mutex
	last []uint64 // the last sequence of each emit under way, in order
}

func (d *driver) emit(stream fanoutv1.EmitterService_EmitStreamClient, r request) error {
	payload := ""
	if r.TS >= 1e18 {
		payload = fmt.Sprintf("T%d", r.TS)
	}
	payload += strings.Repeat("x", max(0, r.Size-len(payload)))
	args := `["` + payload + `"]`
	d.mu.Lock()
	d.last = append(d.last, d.sequence+uint64(r.N))
	d.mu.Unlock()
	for i := range r.N {
		d.sequence++
		err := stream.Send(&fanoutv1.EmitStreamRequest{Sequence: d.sequence, Emit: &fanoutv1.EmitRequest{
			To:    &fanoutv1.Target{Rooms: []string{fmt.Sprintf("r%d", (r.Start+i)%r.Rooms)}},
			Event: "m", ArgsJson: args,
		}})
		if err != nil {
			return err
		}
	}
	return nil
}

// acks prints a line for each emit that is done.
func (d *driver) acks(stream fanoutv1.EmitterService_EmitStreamClient) {
	for {
		res, err := stream.Recv()
		if err != nil {
			log.Fatal("stream: ", err)
		}
		if len(res.Errors) > 0 {
			log.Fatal("refused: ", res.Errors)
		}
		d.mu.Lock()
		for len(d.last) > 0 && d.last[0] <= res.AckedThrough {
			d.last = d.last[1:]
			fmt.Println("ok")
		}
		d.mu.Unlock()
	}
}
