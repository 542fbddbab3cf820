package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"google.golang.org/protobuf/types/known/structpb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// dataForm is how an answer has the data of a connection.
type dataForm int

const (
	dataAsStruct dataForm = iota // for people: in unary calls
	dataAsText                   // for programs: on streams
)

// dataMessage is a message with data to be kept with a connection, in one of two
// forms.
type dataMessage interface {
	GetData() *structpb.Struct
	GetDataJson() string
}

var (
	_ dataMessage = (*fanoutv1.UpdateConnectionRequest)(nil)
	_ dataMessage = (*fanoutv1.UpdateConnectionsRequest)(nil)
	_ dataMessage = (*fanoutv1.ConsumeRequest_Verdict_Allow)(nil)
)

// toData converts data to be kept with a connection, which may be longest bytes
// of JSON; 0: any number. prefix stands before the names of its fields.
func toData(p *problems, prefix string, m dataMessage, longest int) map[string]any {
	if text := m.GetDataJson(); text != "" {
		field := prefix + "data_json"
		if m.GetData() != nil {
			p.add(field, "give data or data_json, not both")
		}
		if longest > 0 {
			atMost(p, field, text, longest)
		}
		data, err := parseObject(text)
		if err != nil {
			p.add(field, "%s", err)
		}
		return data
	}
	fields, size := m.GetData().GetFields(), 0
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		value, err := appendValue(nil, fields[key])
		if err != nil {
			p.add(fmt.Sprintf("%sdata.%.64s", prefix, key), "%s", err)
		}
		size += len(`"":,`) + len(key) + len(value)
	}
	if longest > 0 && size > longest {
		p.add(prefix+"data", "%d bytes of JSON, but at most %d are allowed", size, longest)
	}
	return m.GetData().AsMap()
}

var errNoObject = errors.New("not the text of a JSON object")

// parseObject keeps numbers as they are written.
func parseObject(text string) (object map[string]any, err error) {
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.UseNumber()
	if err := d.Decode(&object); err != nil || object == nil {
		return nil, errNoObject
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errNoObject
	}
	return object, nil
}

// toRefusalData is the data of a refusal as JSON, nil if unset.
func toRefusalData(p *problems, m *fanoutv1.ConsumeRequest_Verdict_Refuse) []byte {
	field, text := "refuse.data", []byte(nil)
	switch {
	case m.GetDataJson() != "":
		field, text = "refuse.data_json", []byte(m.GetDataJson())
		if m.GetData() != nil {
			p.add(field, "give data or data_json, not both")
		}
		if !json.Valid(text) {
			p.add(field, "not JSON text")
		}
	case m.GetData() != nil:
		var err error
		if text, err = appendValue(nil, m.GetData()); err != nil {
			p.add(field, "%s", err)
		}
	}
	if len(text) > maxRefusalData {
		p.add(field, "%d bytes of JSON, but at most %d are allowed", len(text), maxRefusalData)
	}
	return text
}

// setData puts the data of a connection into its message. What a Struct cannot
// hold is text in any case: it must not spoil a listing.
func setData(m *fanoutv1.Connection, data map[string]any, form dataForm) error {
	if form == dataAsStruct {
		if m.Data = decodeValue(data, maxDecodedDepth).GetStructValue(); m.Data != nil {
			return nil
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // it goes to programs, never into markup
	if err := e.Encode(data); err != nil {
		return err
	}
	m.DataJson = string(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
	return nil
}
