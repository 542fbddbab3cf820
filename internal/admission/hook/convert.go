package hook

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	hookv1 "github.com/fanoutd/fanoutd/gen/fanout/hook/v1"
	"github.com/fanoutd/fanoutd/internal/admission"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// Bounds of what is asked and answered, as the contract states them.
const (
	maxAuth    = 64 << 10 // bytes; a token and a name need far less
	maxRooms   = 256
	maxName    = 1024    // bytes of a user or of a room's name
	maxMessage = 1024    // bytes
	maxData    = 4 << 10 // bytes as JSON
)

// AuthTooLarge is what a client is told that sends more as auth than the hook is asked with.
const AuthTooLarge = "auth too large"

// message asks about r, of this user. Text that a browser chose is made valid
// UTF-8, since anything else cannot be encoded.
func message(r *admission.Request, user string) (*hookv1.AuthorizeRequest, error) {
	if len(r.Auth) > maxAuth {
		return nil, &sio.Refusal{Message: AuthTooLarge}
	}
	c := r.Connection()
	m := &hookv1.AuthorizeRequest{
		Namespace:    c.Namespace,
		ConnectionId: c.ID,
		UserId:       user,
		AuthJson:     valid(string(r.Auth)),
		Session:      c.Session,
	}
	if h := c.Handshake; h != nil {
		m.Handshake = &hookv1.Handshake{
			Headers: h.Headers, Query: h.Query, Url: h.URL, Secure: h.Secure, Address: c.RemoteAddr,
			IssuedAt: timestamppb.New(h.IssuedAt),
		}
	}
	return m, nil
}

func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// decision is what the backend decided. A refusal is a [*sio.Refusal]; any other
// error is an answer that is none.
func decision(m *hookv1.AuthorizeResponse) (sio.Admission, error) {
	switch d := m.GetDecision().(type) {
	case *hookv1.AuthorizeResponse_Allow_:
		return allowed(d.Allow)
	case *hookv1.AuthorizeResponse_Refuse_:
		if d.Refuse.GetRetry() {
			return sio.Admission{}, &sio.Unavailable{Message: "the hook asks to try again"}
		}
		return sio.Admission{}, refusal(d.Refuse)
	}
	return sio.Admission{}, errors.New("neither allows nor refuses")
}

func allowed(m *hookv1.AuthorizeResponse_Allow) (sio.Admission, error) {
	a := sio.Admission{User: m.GetUserId(), Rooms: m.GetRooms()}
	if len(a.User) > maxName {
		return sio.Admission{}, fmt.Errorf("user_id has %d bytes; allowed: %d", len(a.User), maxName)
	}
	if len(a.Rooms) > maxRooms {
		return sio.Admission{}, fmt.Errorf("%d rooms; allowed: %d", len(a.Rooms), maxRooms)
	}
	for i, room := range a.Rooms {
		if room == "" || len(room) > maxName {
			return sio.Admission{}, fmt.Errorf("rooms[%d] is empty or has more than %d bytes", i, maxName)
		}
	}
	var err error
	if a.Data, err = toData(m); err != nil {
		return sio.Admission{}, err
	}
	if m.GetExpireAt() != nil {
		if err := m.GetExpireAt().CheckValid(); err != nil {
			return sio.Admission{}, fmt.Errorf("expire_at: %w", err)
		}
		a.Expire = m.GetExpireAt().AsTime()
	}
	return a, nil
}

// toData is what is to be kept with the connection, nil for nothing.
func toData(m *hookv1.AuthorizeResponse_Allow) (map[string]any, error) {
	text := m.GetDataJson()
	switch {
	case text != "" && m.GetData() != nil:
		return nil, errBothForms
	case m.GetData() != nil:
		_, err := toJSON(structpb.NewStructValue(m.GetData()))
		return m.GetData().AsMap(), err
	case len(text) > maxData:
		return nil, fmt.Errorf("data_json has %d bytes; allowed: %d", len(text), maxData)
	case text == "":
		return nil, nil
	}
	if !json.Valid([]byte(text)) {
		return nil, errors.New("data_json is not the text of a JSON object")
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber() // as they are written
	var data map[string]any
	if err := d.Decode(&data); err != nil || data == nil {
		return nil, errors.New("data_json is not the text of a JSON object")
	}
	return data, nil
}

var errBothForms = errors.New("both data and data_json")

// refusal is never nil: an answer that refuses and breaks a bound refuses still.
func refusal(m *hookv1.AuthorizeResponse_Refuse) error {
	r := &sio.Refusal{Message: m.GetMessage()}
	if r.Message == "" {
		r.Message = admission.NotAuthorized
	}
	if len(r.Message) > maxMessage {
		return fmt.Errorf("message has %d bytes; allowed: %d", len(r.Message), maxMessage)
	}
	text := m.GetDataJson()
	switch {
	case text != "" && m.GetData() != nil:
		return errBothForms
	case m.GetData() != nil:
		var err error
		if r.Data, err = toJSON(m.GetData()); err != nil {
			return err
		}
	case len(text) > maxData:
		return fmt.Errorf("data_json has %d bytes; allowed: %d", len(text), maxData)
	case text != "" && !json.Valid([]byte(text)):
		return errors.New("data_json is not JSON text")
	case text != "":
		r.Data = json.RawMessage(text)
	}
	return r
}

// toJSON is v as JSON, within the bound.
func toJSON(v *structpb.Value) (json.RawMessage, error) {
	text, err := json.Marshal(v.AsInterface())
	switch {
	case err != nil:
		return nil, fmt.Errorf("data: %w", err)
	case len(text) > maxData:
		return nil, fmt.Errorf("data has %d bytes as JSON; allowed: %d", len(text), maxData)
	}
	return text, nil
}
