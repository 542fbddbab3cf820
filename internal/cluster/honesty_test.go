package cluster

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/cluster/bus"
	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/sio/room"
	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

// reader notes what a client receives, by event.
type reader struct {
	id   string
	mu   sync.Mutex
	got  map[string]int
	last map[string]int // number of the latest event of each sender
	bad  []string
}

// read takes events named "sender number" until one named "end" comes.
func (r *reader) read(ws *wiretest.WS) {
	for {
		var name string
		m := ws.Next()
		if _, err := fmt.Sscanf(m, `42[%q`, &name); err != nil {
			r.mu.Lock()
			r.bad = append(r.bad, m)
			r.mu.Unlock()
			return
		}
		if name == "end" {
			return
		}
		var number int
		sender, text, _ := strings.Cut(name, " ")
		fmt.Sscan(text, &number)
		r.mu.Lock()
		r.got[name]++
		if number <= r.last[sender] {
			r.bad = append(r.bad, fmt.Sprintf("%s after %d", name, r.last[sender]))
		}
		r.last[sender] = number
		r.mu.Unlock()
	}
}

// told is what one emit was answered.
type told struct {
	event string
	sio.Result
}

// TestHonest: however the bus loses, doubles, delays and reorders, and nodes lose each
// other, what is answered is what happened: an APPLIED emit matched no more than received
// it, and exactly those unless it says partial; of one sender, a client gets in order
// what it gets, and nothing twice. With SOAK, ten minutes of that; else one.
func TestHonest(t *testing.T) {
	length := time.Minute
	if os.Getenv("SOAK") != "" {
		length = 10 * time.Minute
	}
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { synctest.Test(t, func(t *testing.T) { honest(t, seed, length) }) })
	}
}

func honest(t *testing.T, seed uint64, length time.Duration) {
	memory := bus.NewMemory()
	nodes := startNodes(t, memory, 3)
	var readers []*reader
	var reading sync.WaitGroup
	for i := range 9 {
		ws, id := nodes[i%3].connect("/", fmt.Sprint("u", i%4), "all")
		r := &reader{id: id, got: map[string]int{}, last: map[string]int{}}
		readers = append(readers, r)
		reading.Go(func() { r.read(ws) })
	}
	synctest.Wait()
	var faults sync.Mutex
	dice := rand.New(rand.NewPCG(seed, 1))
	memory.SetFaults(func(string, string, string, []byte) (v bus.Verdict) {
		faults.Lock()
		defer faults.Unlock()
		switch dice.IntN(10) {
		case 0:
			v.Drop = true
		case 1:
			v.Double = true
		case 2:
			v.Delay = time.Duration(dice.IntN(200)) * time.Millisecond
		}
		return v
	})
	over := time.Now().Add(length)
	answers := make([][]told, len(nodes))
	var senders sync.WaitGroup
	for i, n := range nodes {
		random := rand.New(rand.NewPCG(seed, uint64(10+i)))
		senders.Go(func() {
			for number := 1; time.Now().Before(over); number++ {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(100+random.IntN(4000))*time.Millisecond)
				one := room.Selector{IDs: []string{readers[random.IntN(len(readers))].id}}
				name := fmt.Sprint("r", random.IntN(5))
				switch random.IntN(6) {
				case 0:
					_, _ = n.Apply(ctx, sio.Join{To: to(one), Rooms: []string{name}})
				case 1:
					_, _ = n.Apply(ctx, sio.Leave{To: to(one), Rooms: []string{name}})
				default:
					sel := []room.Selector{{Rooms: []string{name}}, {Rooms: []string{"all"}}, {Users: []string{"u1"}}, one, {All: true}}[random.IntN(5)]
					event := fmt.Sprintf("n%d %d", i+1, number)
					result, err := n.Apply(ctx, sio.Emit{To: to(sel), Event: event, Applied: true})
					if err != nil {
						t.Errorf("%s: %v", event, err)
					}
					answers[i] = append(answers[i], told{event, result})
				}
				cancel()
				time.Sleep(time.Duration(random.IntN(50)) * time.Millisecond)
			}
		})
	}
	random := rand.New(rand.NewPCG(seed, 2))
	for time.Now().Before(over) {
		a, b := fmt.Sprint("n", 1+random.IntN(3)), fmt.Sprint("n", 1+random.IntN(3))
		memory.Cut(a, b)
		time.Sleep(time.Duration(random.IntN(6000)) * time.Millisecond)
		memory.Heal(a, b)
		time.Sleep(time.Duration(random.IntN(6000)) * time.Millisecond)
	}
	senders.Wait()
	memory.SetFaults(nil)
	settle()
	if r := nodes[0].apply(sio.Emit{To: everybody, Event: "end", Applied: true}); r.Matched != len(readers) || r.Partial {
		t.Errorf("in the end: %+v", r)
	}
	reading.Wait()
	emits, partial := 0, 0
	for _, list := range answers {
		for _, a := range list {
			received := 0
			for _, r := range readers {
				received += r.got[a.event]
			}
			emits++
			if a.Partial {
				partial++
			}
			if a.Matched > received || !a.Partial && a.Matched != received {
				t.Errorf("%s was answered %+v, and %d received it", a.event, a.Result, received)
			}
		}
	}
	for _, r := range readers {
		for _, bad := range r.bad {
			t.Errorf("%s: %s", r.id, bad)
		}
		for event, n := range r.got {
			if n > 1 {
				t.Errorf("%s got %s %d times", r.id, event, n)
			}
		}
	}
	if emits < 500 || partial == 0 || partial == emits {
		t.Errorf("%d emits, %d partial: nothing is shown by that", emits, partial)
	}
	t.Logf("%d emits, %d of them partial", emits, partial)
}
