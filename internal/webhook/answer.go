package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

const (
	// maxAnswer bounds an answer: a thousand operations of some KiB.
	maxAnswer = 4 << 20 // bytes
	// maxOperations is what EmitterService.Batch takes.
	maxOperations = 1000
)

// answer is what an endpoint says about an event.
type answer struct {
	reply      *fanoutv1.ReplyRequest                  // nil: none
	allow      *fanoutv1.ConsumeRequest_Verdict_Allow  // nil: none
	refuse     *fanoutv1.ConsumeRequest_Verdict_Refuse // nil: none
	operations *fanoutv1.BatchRequest                  // nil: none
}

// readAnswer reads the body of an answer that accepts the event; an empty one says nothing.
func readAnswer(body io.Reader) (a answer, err error) {
	text, err := io.ReadAll(io.LimitReader(body, maxAnswer+1))
	switch {
	case err != nil:
		return a, fmt.Errorf("the answer broke off: %w", err)
	case len(text) > maxAnswer:
		return a, badAnswer("has more than %d bytes", maxAnswer)
	case len(bytes.TrimSpace(text)) == 0:
		return a, nil
	}
	var parts struct {
		Reply      json.RawMessage `json:"reply"`
		Allow      json.RawMessage `json:"allow"`
		Refuse     json.RawMessage `json:"refuse"`
		Operations json.RawMessage `json:"operations"`
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	err = d.Decode(&parts)
	if err == nil && len(bytes.TrimSpace(text[d.InputOffset():])) > 0 {
		err = errors.New("more follows it")
	}
	if err != nil {
		return a, badAnswer("is no JSON object of reply, allow, refuse and operations: %v", err)
	}
	a = answer{&fanoutv1.ReplyRequest{}, &fanoutv1.ConsumeRequest_Verdict_Allow{}, &fanoutv1.ConsumeRequest_Verdict_Refuse{}, &fanoutv1.BatchRequest{}}
	operations := parts.Operations
	if isGiven(operations) {
		operations = []byte(`{"operations":` + string(operations) + `}`)
	}
	a.reply, err = readPart(err, "reply", parts.Reply, a.reply)
	a.allow, err = readPart(err, "allow", parts.Allow, a.allow)
	a.refuse, err = readPart(err, "refuse", parts.Refuse, a.refuse)
	a.operations, err = readPart(err, "operations", operations, a.operations)
	if err == nil && a.allow != nil && a.refuse != nil {
		err = badAnswer("both allows and refuses")
	}
	return a, err
}

func isGiven(text json.RawMessage) bool { return len(text) > 0 && string(text) != "null" }

// readPart reads a part of an answer into m, nil if it is not there; err is that of the
// part before it.
func readPart[M proto.Message](err error, name string, text json.RawMessage, m M) (M, error) {
	var none M
	if err != nil || !isGiven(text) {
		return none, err
	}
	if err := protojson.Unmarshal(text, m); err != nil {
		return none, badAnswer("has no good %s: %v", name, err)
	}
	return m, nil
}

// answerError is what is wrong with an answer that accepts the event.
type answerError struct{ why string }

func (e *answerError) Error() string { return "the answer " + e.why }

func badAnswer(format string, args ...any) error { return &answerError{fmt.Sprintf(format, args...)} }

// statusError is an answer that does not accept the event.
type statusError struct {
	status int
	after  time.Duration // Retry-After; 0: it does not say
}

func (e *statusError) Error() string {
	return fmt.Sprint("the answer is ", e.status, " ", http.StatusText(e.status))
}

// unreachableError is why a request was not sent: no connection came about.
type unreachableError struct{ err error }

func (e *unreachableError) Error() string { return e.err.Error() }

func (e *unreachableError) Unwrap() error { return e.err }

// undoneError is why an operation was not done, or not known to be, that may be done later.
type undoneError struct {
	i       int // of the operation
	code    codes.Code
	message string
}

func (e *undoneError) Error() string {
	return fmt.Sprint("operation ", e.i, " was not done: ", e.code, ": ", e.message)
}

// maxRetryAfter bounds what an endpoint may ask for: as long as a pause may be.
const maxRetryAfter = time.Hour

// retryAfter returns what the header of that name says, 0 if that is nothing.
func retryAfter(h http.Header) time.Duration {
	text := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(text, 10, 32); err == nil {
		return min(time.Duration(seconds)*time.Second, maxRetryAfter)
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(max(time.Until(at), 0), maxRetryAfter)
	}
	return 0
}

// blame says whose fault it is that an event was not handled.
type blame int

const (
	nobody    blame = iota // it was handled
	endpoint               // it, or a node that an operation needs, cannot be reached, is overloaded, or says that it cannot now
	uncertain              // the endpoint, or an operation, failed at it: with this event, or with all
	event                  // the endpoint refused it, or its answer is wrong, or it makes this process fail
	forever                // the endpoint refused it for good
)

// blameFor says who is to blame for err.
func blameFor(err error) blame {
	var status *statusError
	var wrong *answerError
	var panicked *panicError
	var unreachable *unreachableError
	var undone *undoneError
	switch {
	case err == nil:
		return nobody
	case errors.As(err, &wrong), errors.As(err, &panicked):
		return event
	case errors.As(err, &unreachable), errors.As(err, &undone) && undone.code == codes.Unavailable:
		return endpoint
	case !errors.As(err, &status):
		return uncertain // it was there, and perhaps the event has brought it down
	}
	switch status.status {
	case http.StatusGone:
		return forever
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return endpoint
	}
	if status.status >= 500 {
		return uncertain
	}
	return event
}
