package backend

import (
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// PartialError is the error of a count that lacks the connections of some nodes of a
// cluster, since these did not answer, and of what is done to one [Conn] that such a node may have. Its gRPC code is UNAVAILABLE: it may be complete
// later. Who can do with less than there is takes what was counted:
//
//	n, err := client.Count(ctx, backend.All())
//	if partial, ok := errors.AsType[*backend.PartialError](err); ok {
//		log.Printf("at least %d: no answer from %q", n, partial.Unreachable)
//		err = nil
//	}
type PartialError struct {
	Count       int      // connections of the nodes that answered
	Unreachable []string // names of the nodes that did not
}

// Error names the nodes.
func (e *PartialError) Error() string {
	return fmt.Sprintf("no answer from %s; %d at the other nodes", strings.Join(e.Unreachable, ", "), e.Count)
}

// GRPCStatus makes its code UNAVAILABLE, for [status.Code].
func (e *PartialError) GRPCStatus() *status.Status { return status.New(codes.Unavailable, e.Error()) }
