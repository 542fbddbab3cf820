package httpserver

import (
	"bytes"
	"encoding/json"
	"errors"

	"connectrpc.com/connect"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// message is a request as it came, or an answer. Which message of the contract a request
// is, its service knows: it is decoded when that asks for it.
type message struct {
	data   []byte
	decode func(data []byte, into proto.Message) error
	answer any // a proto.Message
}

// into decodes a request. INVALID_ARGUMENT if it is none.
func (m *message) into(req any) error {
	if m.decode == nil { // connect-go does not ask codecs what no bytes are
		return nil
	}
	return m.decode(m.data, req.(proto.Message))
}

// keep keeps what connect-go lends.
func keep(data []byte, to any, decode func([]byte, proto.Message) error) error {
	m, ok := to.(*message)
	if !ok {
		return errors.New("no request of a method")
	}
	m.data, m.decode = bytes.Clone(data), decode
	return nil
}

// protoCodec is the binary form.
type protoCodec struct{}

var _ connect.Codec = protoCodec{}

func (protoCodec) Name() string { return "proto" }

func (protoCodec) Marshal(v any) ([]byte, error) {
	if m, ok := v.(*message); ok {
		v = m.answer
	}
	return proto.Marshal(v.(proto.Message))
}

func (protoCodec) Unmarshal(data []byte, v any) error { return keep(data, v, decodeProto) }

func decodeProto(data []byte, into proto.Message) error {
	if err := proto.Unmarshal(data, into); err != nil {
		return status.Error(codes.InvalidArgument, "the request is no message of the contract")
	}
	return nil
}

// jsonCodec is the form that protobuf has in JSON.
type jsonCodec struct{ name string }

var _ connect.Codec = jsonCodec{}

func (c jsonCodec) Name() string { return c.name }

func (jsonCodec) Marshal(v any) ([]byte, error) { return encodeJSON(v.(*message).answer) }

func (jsonCodec) Unmarshal(data []byte, v any) error { return keep(data, v, decodeJSON) }

// encodeJSON returns a message in one line, and always in the same.
func encodeJSON(answer any) ([]byte, error) {
	data, err := protojson.Marshal(answer.(proto.Message))
	if err != nil {
		return nil, err
	}
	var line bytes.Buffer
	if err := json.Compact(&line, data); err != nil { // protojson's blanks differ from build to build
		return nil, err
	}
	return line.Bytes(), nil
}

// decodeJSON refuses fields that the contract does not have: a typo must not go unseen.
func decodeJSON(data []byte, into proto.Message) error {
	if len(bytes.TrimSpace(data)) == 0 {
		return status.Error(codes.InvalidArgument, "the request is empty: it has to be a JSON object, {} at least")
	}
	if err := protojson.Unmarshal(data, into); err != nil {
		return unreadableJSON(data, err)
	}
	return nil
}
