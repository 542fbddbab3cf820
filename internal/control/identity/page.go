package identity

import "fmt"

// PageError is why a request is refused that a web page has its browser send, whoever the
// caller is.
type PageError struct {
	Origin string // of the page, "" if the request does not tell
	Host   string // the name by which the server is called; "": that is not why
}

func (e *PageError) Error() string {
	switch {
	case e.Host != "":
		return fmt.Sprintf("the server is not called by the name %.64q: control-hosts names those that it has", e.Host)
	case e.Origin != "":
		return fmt.Sprintf("pages of %.64q may not call: control-origins names those that may", e.Origin)
	}
	return "pages of other sites may not call"
}
