package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxInput bounds what is read from standard input, in bytes. A daemon takes 16 MiB at most
// unless control-max-request says more.
const maxInput = 64 << 20

// eventArgs returns the arguments of an event as the text of a JSON array. A word that is
// JSON is that value, any other a string; with asStrings all are strings. The word -
// stands for what input has: the JSON values in it, however they are separated, or, if it is
// anything else, one string without the line break at its end.
func eventArgs(words []string, asStrings bool, input io.Reader) (string, error) {
	var values []string
	for i, word := range words {
		if word == "-" && slices.Contains(words[:i], "-") {
			return "", usagef("- stands for all of standard input, and may stand once")
		}
		if word != "-" {
			value, err := eventArg(word, asStrings)
			if err != nil {
				return "", err
			}
			values = append(values, value)
			continue
		}
		text, err := readInput(input)
		if err != nil {
			return "", err
		}
		if more, ok := jsonValues(text); ok && !asStrings {
			values = append(values, more...)
			continue
		}
		value, err := eventArg(strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r"), true)
		if err != nil {
			return "", fmt.Errorf("standard input: %w", err)
		}
		values = append(values, value)
	}
	return "[" + strings.Join(values, ",") + "]", nil
}

// eventArg returns one argument as JSON.
func eventArg(word string, asString bool) (string, error) {
	if !utf8.ValidString(word) {
		return "", usagef("%q is not UTF-8", cut(word, 40))
	}
	if !asString && json.Valid([]byte(word)) {
		return strings.TrimSpace(word), nil
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(word); err != nil {
		return "", err
	}
	return strings.TrimSpace(b.String()), nil
}

func readInput(input io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(input, maxInput+1))
	if err != nil {
		return nil, fmt.Errorf("reading standard input: %w", err)
	}
	if len(text) > maxInput {
		return nil, fmt.Errorf("standard input is longer than %d MiB", maxInput>>20)
	}
	return text, nil
}

// jsonValues returns the JSON values in text, if it has nothing else and one at least.
func jsonValues(text []byte) ([]string, bool) {
	if !utf8.Valid(text) {
		return nil, false
	}
	var values []string
	for d := json.NewDecoder(bytes.NewReader(text)); ; {
		var value json.RawMessage
		err := d.Decode(&value)
		if errors.Is(err, io.EOF) {
			return values, len(values) > 0
		}
		if err != nil {
			return nil, false
		}
		values = append(values, string(value))
	}
}
