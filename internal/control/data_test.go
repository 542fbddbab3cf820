package control

import (
	"encoding/json"
	"strings"
	"testing"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

func TestToData(t *testing.T) {
	one := object(t, map[string]any{"a": 1})
	for _, tt := range []struct {
		name    string
		request *fanoutv1.UpdateConnectionRequest
		want    string // as JSON text
		problem string // field and the beginning of what is wrong with it
	}{
		{"nothing", &fanoutv1.UpdateConnectionRequest{}, `{}`, ""},
		{"a Struct", &fanoutv1.UpdateConnectionRequest{Data: one}, `{"a":1}`, ""},
		{"text", &fanoutv1.UpdateConnectionRequest{DataJson: ` {"b":[1e400,12345678901234567890],"a":null} `}, `{"a":null,"b":[1e400,12345678901234567890]}`, ""},
		{"an empty object", &fanoutv1.UpdateConnectionRequest{DataJson: `{}`}, `{}`, ""},
		{"both", &fanoutv1.UpdateConnectionRequest{Data: one, DataJson: `{}`}, "", "at.data_json: give data or data_json"},
		{"too long", &fanoutv1.UpdateConnectionRequest{DataJson: `{"a":"` + strings.Repeat("x", 100) + `"}`}, "", "at.data_json: 108 bytes"},
		{"too long a Struct", &fanoutv1.UpdateConnectionRequest{Data: object(t, map[string]any{"a": strings.Repeat("x", 100)})}, "", "at.data: "},
		{"an array", &fanoutv1.UpdateConnectionRequest{DataJson: `[]`}, "", "at.data_json: not the text"},
		{"null", &fanoutv1.UpdateConnectionRequest{DataJson: `null`}, "", "at.data_json: not the text"},
		{"no JSON", &fanoutv1.UpdateConnectionRequest{DataJson: `{a:1}`}, "", "at.data_json: not the text"},
		{"half of it", &fanoutv1.UpdateConnectionRequest{DataJson: `{"a":1`}, "", "at.data_json: not the text"},
		{"two", &fanoutv1.UpdateConnectionRequest{DataJson: `{}{}`}, "", "at.data_json: not the text"},
		{"more behind it", &fanoutv1.UpdateConnectionRequest{DataJson: `{},`}, "", "at.data_json: not the text"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var p problems
			data := toData(&p, "at.", tt.request, 100)
			if tt.problem != "" {
				if err := p.err(); err == nil || !strings.Contains(err.Error(), tt.problem) {
					t.Errorf("got %v, want %s", err, tt.problem)
				}
				return
			}
			text, err := json.Marshal(data)
			if err != nil || p.any() || string(text) != tt.want {
				t.Errorf("got %s, %v, %v, want %s", text, p.err(), err, tt.want)
			}
		})
	}
}

// What a Struct can hold comes as one where people look; anything else, and
// everything on streams, as text.
func TestSetData(t *testing.T) {
	deep := func(levels int) any {
		var v any = []any{}
		for range levels {
			v = []any{v}
		}
		return v
	}
	for _, tt := range []struct {
		name   string
		data   map[string]any
		struc  bool
		text   string
		number float64 // of "a"
	}{
		{"a number", map[string]any{"a": 1.5}, true, `{"a":1.5}`, 1.5},
		{"a number from text", map[string]any{"a": json.Number("12345678901234567890")}, true, `{"a":12345678901234567890}`, 12345678901234567890},
		{"markup", map[string]any{"b": "<&>"}, true, `{"b":"<&>"}`, 0},
		{"beyond a double", map[string]any{"a": json.Number("1e400")}, false, `{"a":1e400}`, 0},
		{"deep", map[string]any{"a": deep(28)}, true, `{"a":` + strings.Repeat("[", 29) + strings.Repeat("]", 29) + `}`, 0},
		{"too deep", map[string]any{"a": deep(40)}, false, `{"a":` + strings.Repeat("[", 41) + strings.Repeat("]", 41) + `}`, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var people, programs fanoutv1.Connection
			if err := setData(&people, tt.data, dataAsStruct); err != nil {
				t.Fatal(err)
			}
			if err := setData(&programs, tt.data, dataAsText); err != nil {
				t.Fatal(err)
			}
			if programs.GetDataJson() != tt.text || programs.GetData() != nil {
				t.Errorf("programs get %v, want %s", &programs, tt.text)
			}
			if !tt.struc {
				if people.GetDataJson() != tt.text || people.GetData() != nil {
					t.Errorf("people get %v, want %s", &people, tt.text)
				}
				return
			}
			a := people.GetData().GetFields()["a"]
			if people.GetData() == nil || people.GetDataJson() != "" || a.GetNumberValue() != tt.number {
				t.Errorf("people get %v", &people)
			}
		})
	}
}
