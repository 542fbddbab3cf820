package admission

import (
	"errors"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio"
)

func TestMerge(t *testing.T) {
	at := func(day int) time.Time { return time.Date(2100, 1, day, 0, 0, 0, 0, time.UTC) }
	type data = map[string]any
	all := sio.Admission{User: "u", Rooms: []string{"a"}, Data: data{"x": 1, "y": 1}, Expire: at(2)}
	tests := []struct {
		name              string
		sofar, more, want sio.Admission
	}{
		{"nothing", sio.Admission{}, sio.Admission{}, sio.Admission{}},
		{"nothing before", sio.Admission{}, all, all},
		{"nothing more", all, sio.Admission{}, all},
		{"another user", all, sio.Admission{User: "v"}, sio.Admission{User: "v", Rooms: all.Rooms, Data: all.Data, Expire: all.Expire}},
		{"more rooms", all, sio.Admission{Rooms: []string{"b", "a"}}, sio.Admission{User: "u", Rooms: []string{"a", "b", "a"}, Data: all.Data, Expire: all.Expire}},
		{"more data", all, sio.Admission{Data: data{"y": 2, "z": 2}}, sio.Admission{User: "u", Rooms: all.Rooms, Data: data{"x": 1, "y": 2, "z": 2}, Expire: all.Expire}},
		{"an earlier expiry", all, sio.Admission{Expire: at(1)}, sio.Admission{User: "u", Rooms: all.Rooms, Data: all.Data, Expire: at(1)}},
		{"a later expiry", all, sio.Admission{Expire: at(3)}, all},
		{"the only expiry", sio.Admission{User: "u"}, sio.Admission{Expire: at(3)}, sio.Admission{User: "u", Expire: at(3)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Merge(tt.sofar, tt.more)
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %+v, %v, want %+v", got, err, tt.want)
			}
		})
	}
}

// TestMergeChangesNeither: several connections may be granted the same thing.
func TestMergeChangesNeither(t *testing.T) {
	rooms := make([]string, 1, 8)
	rooms[0] = "a"
	sofar := sio.Admission{Rooms: rooms, Data: map[string]any{"x": 1}}
	more := sio.Admission{Rooms: []string{"b"}, Data: map[string]any{"x": 2}}
	if _, err := Merge(sofar, more); err != nil {
		t.Fatal(err)
	}
	if rooms[:2][1] != "" || sofar.Data["x"] != 1 || more.Data["x"] != 2 || len(more.Data) != 1 {
		t.Errorf("changed %+v, %q and %+v", sofar, rooms[:2], more)
	}
}

func TestMergeRefusesWhatHasExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := sio.Admission{Expire: time.Now()}
		later := sio.Admission{Expire: time.Now().Add(time.Nanosecond)}
		for name, pair := range map[string][2]sio.Admission{"more": {later, now}, "sofar": {now, later}, "sofar alone": {now, {}}} {
			var refusal *sio.Refusal
			if a, err := Merge(pair[0], pair[1]); !errors.As(err, &refusal) || refusal.Message != NotAuthorized {
				t.Errorf("%s: got %+v, %v", name, a, err)
			}
		}
		if _, err := Merge(later, later); err != nil {
			t.Error(err)
		}
	})
}
