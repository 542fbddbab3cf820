package backend

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// placeholder stands in the JSON where an attachment belongs
// (socket.io-parser/lib/binary.ts).
type placeholder struct {
	Placeholder bool `json:"_placeholder"`
	Num         int  `json:"num"`
}

// encode returns arguments as the text of a JSON array and what it leaves out
// of it; no text for no arguments.
func encode(args []any) (text string, attachments [][]byte, err error) {
	if len(args) == 0 {
		return "", nil, nil
	}
	array, err := extract(args, &attachments, 0)
	if err != nil {
		return "", nil, err
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // it goes to JSON.parse, never into markup
	if err := e.Encode(array); err != nil {
		return "", nil, err
	}
	// What a json.RawMessage holds is passed on as it is.
	return strings.ToValidUTF8(string(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), "\uFFFD"), attachments, nil
}

// maxDepth bounds what is walked for binary values, so that a map that holds
// itself is an error.
const maxDepth = 1000

// extract returns v with placeholders for the binary values in it; v itself is
// left as it is.
func extract(v any, attachments *[][]byte, depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("nested deeper than %d levels", maxDepth)
	}
	switch v := v.(type) {
	case []byte:
		*attachments = append(*attachments, v)
		return placeholder{true, len(*attachments) - 1}, nil
	case []any:
		if v == nil {
			return v, nil
		}
		out := make([]any, len(v))
		for i := range v {
			var err error
			if out[i], err = extract(v[i], attachments, depth+1); err != nil {
				return nil, err
			}
		}
		return out, nil
	case map[string]any:
		if v == nil {
			return v, nil
		}
		out := make(map[string]any, len(v))
		for k := range v {
			var err error
			if out[k], err = extract(v[k], attachments, depth+1); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return v, nil
}
