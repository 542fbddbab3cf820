package settings

import "testing"

// Kubernetes describes every Service to the containers beside it by variables
// that begin with the Service's name, and a Service may be called as the program
// is, with something behind it.
func TestServiceVariables(t *testing.T) {
	for _, service := range []string{"PROG", "PROG_CONTROL", "PROG_OPS", "PROG_HEADLESS_2", "PROG_LISTEN", "PROG_SERVICE"} {
		t.Run(service, func(t *testing.T) {
			_, s, err := read(nil, []string{
				service + "_SERVICE_HOST=10.0.0.7", service + "_SERVICE_PORT=8080", service + "_SERVICE_PORT_GRPC_WEB=8081",
				service + "_PORT=tcp://10.0.0.7:8080", service + "_PORT_8080_TCP=tcp://10.0.0.7:8080", service + "_PORT_8080_TCP_PROTO=tcp",
				service + "_PORT_8080_TCP_PORT=8080", service + "_PORT_8080_TCP_ADDR=10.0.0.7", service + "_PORT_53_UDP=udp://[fd00::7]:53",
			})
			if err != nil {
				t.Fatal(err)
			}
			if len(s.Unknown()) > 0 {
				t.Errorf("unknown variables: %v", s.Unknown())
			}
		})
	}
}

func TestUnknownVariables(t *testing.T) {
	for _, tt := range []struct{ name, value, nearest string }{
		{"PROG_listen", ":1", "PROG_LISTEN"},
		{"PROG_MAX-WAIT", "1s", "PROG_MAX_WAIT"},
		{"PROG_MAX_WIAT", "1s", "PROG_MAX_WAIT"},
		{"PROG_CONTROL_LISTENER", ":1", "PROG_CONTROL_LISTEN"},
		{"PROG_KEY_PORT", "8081", "PROG_KEY_FILE"}, // the value of Kubernetes is a URL
	} {
		_, s, err := read(nil, []string{"HOME=/", tt.name + "=" + tt.value, "PROGRAM_X=1"})
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if got := s.Unknown(); len(got) != 1 || got[0] != (UnknownVariable{tt.name, tt.nearest}) {
			t.Errorf("%s: unknown variables are %+v, want it alone, nearest %s", tt.name, got, tt.nearest)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"a", "", 1}, {"", "ab", 2}, {"kitten", "sitting", 3}, {"abc", "acb", 2}, {"same", "same", 0},
	} {
		if got := distance(tt.a, tt.b); got != tt.want {
			t.Errorf("distance(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

// Variables of other commands of the program are no mistakes.
func TestOtherVariables(t *testing.T) {
	s := New("prog")
	var value string
	s.Declare("Things", Setting{Name: "name", Value: String(&value, "")})
	s.OtherVariables = []string{"PROG_ADDRESS"}
	if err := s.Read(nil, []string{"PROG_ADDRESS=x", "PROG_OTHER=x"}); err != nil {
		t.Fatal(err)
	}
	if got := s.Unknown(); len(got) != 1 || got[0].Name != "PROG_OTHER" {
		t.Errorf("unknown variables: %v", got)
	}
}
