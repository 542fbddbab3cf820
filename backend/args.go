package backend

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// Args are an event's arguments.
type Args struct {
	text        string // a JSON array, or nothing
	attachments [][]byte
}

// ArgsError is an argument that is not what the handler expects. A handler may
// return it: the event is then settled, since it would be no better the next
// time.
type ArgsError struct {
	Index int // of the argument, from 0
	Err   error
}

func (e *ArgsError) Error() string { return fmt.Sprintf("argument %d: %v", e.Index, e.Err) }

// Unwrap returns what json.Unmarshal said, or that the argument is missing.
func (e *ArgsError) Unwrap() error { return e.Err }

// errMissing: a browser sent fewer arguments than the handler wants.
var errMissing = errors.New("missing")

// JSON returns the arguments as the text of a JSON array, as the client wrote
// it, with {"_placeholder":true,"num":0} where Attachments()[0] belongs.
func (a Args) JSON() string { return a.text }

// Attachments returns the binary values, which are not to be changed.
func (a Args) Attachments() [][]byte { return a.attachments }

// Len returns how many arguments there are.
func (a Args) Len() int { return len(a.split()) }

// Decode unmarshals the arguments, in order, into what the pointers point at;
// further arguments are ignored, and a nil skips one. Binary values go where a
// []byte is (in a struct of any depth too), and into an any as a []byte. Its
// only error is an [ArgsError].
func (a Args) Decode(into ...any) error {
	all := a.split()
	for i, to := range into {
		if i >= len(all) {
			return &ArgsError{i, errMissing}
		}
		if to == nil {
			continue
		}
		if err := a.decode(all[i], to); err != nil {
			return &ArgsError{i, err}
		}
	}
	return nil
}

// split returns the arguments one by one. The daemon has checked that they are
// a JSON array.
func (a Args) split() (all []json.RawMessage) {
	if a.text == "" || json.Unmarshal([]byte(a.text), &all) != nil {
		return nil
	}
	return all
}

func (a Args) decode(arg json.RawMessage, to any) error {
	if len(a.attachments) == 0 || !bytes.Contains(arg, []byte(`"_placeholder"`)) {
		return json.Unmarshal(arg, to)
	}
	switch to := to.(type) {
	case *any:
		return tree(a, arg, to, "anything")
	case *[]any:
		return tree(a, arg, to, "an array")
	case *map[string]any:
		return tree(a, arg, to, "an object")
	}
	d := json.NewDecoder(bytes.NewReader(arg))
	d.UseNumber() // numbers are to survive the way back to text
	var tree any
	if err := d.Decode(&tree); err != nil {
		return err
	}
	// A []byte is base64 text on its way into a []byte of any type.
	text, err := json.Marshal(a.fill(tree))
	if err != nil {
		return err
	}
	return json.Unmarshal(text, to)
}

// tree decodes arg into a type of encoding/json's own choice.
func tree[T any](a Args, arg json.RawMessage, to *T, want string) error {
	var v any
	if err := json.Unmarshal(arg, &v); err != nil {
		return err
	}
	t, ok := a.fill(v).(T)
	if !ok {
		return fmt.Errorf("not %s", want)
	}
	*to = t
	return nil
}

// fill returns v, what a decoder made of an argument, with the attachments in
// place of their placeholders.
func (a Args) fill(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = a.fill(v[i])
		}
	case map[string]any:
		if v["_placeholder"] == true {
			if n, ok := number(v["num"]); ok && n >= 0 && n < len(a.attachments) {
				return a.attachments[n]
			}
		}
		for k := range v {
			v[k] = a.fill(v[k])
		}
	}
	return v
}

func number(v any) (int, bool) {
	switch v := v.(type) {
	case json.Number:
		n, err := v.Int64()
		return int(n), err == nil
	case float64:
		return int(v), v == float64(int(v))
	}
	return 0, false
}
