package parser

import "testing"

func TestAppendText(t *testing.T) {
	tests := []struct {
		name string
		p    Packet
		want string
	}{
		{"connect", Packet{Type: Connect, Namespace: "/", Data: []byte(`{"sid":"x"}`)}, `0{"sid":"x"}`},
		{"no namespace", Packet{Type: Disconnect}, `1`},
		{"namespace", Packet{Type: Disconnect, Namespace: "/chat"}, `1/chat,`},
		{"everything", Packet{Type: Event, Namespace: "/chat", ID: 5, HasID: true, Data: []byte(`["a",{"_placeholder":true,"num":0}]`), Attachments: [][]byte{{1}}},
			`51-/chat,5["a",{"_placeholder":true,"num":0}]`},
		{"binary ack", Packet{Type: Ack, Namespace: "/", ID: 0, HasID: true, Data: []byte(`[]`), Attachments: make([][]byte, 10)}, `610-0[]`},
		{"spacing survives", Packet{Type: Event, Data: []byte(`[ "a", 1.0 ]`)}, `2[ "a", 1.0 ]`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := AppendText([]byte("x"), &tt.p); string(got) != "x"+tt.want {
				t.Errorf("got %s, want %s", got[1:], tt.want)
			}
		})
	}
}

func TestAppendEvent(t *testing.T) {
	tests := []struct {
		name, namespace, event, args string
		want                         string
	}{
		{"no arguments", "/", "a", "", `2["a"]`},
		{"empty array", "/", "a", "[]", `2["a"]`},
		{"empty array with blanks", "/", "a", " [ ] ", `2["a"]`},
		{"arguments", "/chat", "a", `[1,"b"]`, `2/chat,["a",1,"b"]`},
		{"verbatim but for the front", "", "a", "\n[ 1 , 2.0 ]", `2["a",1 , 2.0 ]`},
		{"quoted name", "/", "a\"\\\n", "[1]", `2["a\"\\\n",1]`},
		{"name that is not UTF-8", "/", "a\xff", "[]", "2[\"a\ufffd\"]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := &Packet{Type: Event, Namespace: tt.namespace}
			if got := AppendEvent(nil, p, tt.event, []byte(tt.args)); string(got) != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
	t.Run("ack id and attachments", func(t *testing.T) {
		p := &Packet{Type: Event, Namespace: "/chat", ID: 7, HasID: true, Attachments: make([][]byte, 2)}
		if got, want := string(AppendEvent(nil, p, "a", []byte(`[1]`))), `52-/chat,7["a",1]`; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}
