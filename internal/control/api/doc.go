// Package api is what every transport serves in the same way: which services there are
// beside those of package control, what calls of each method need, and what counts and
// traces calls. It describes and counts by gRPC's types, and knows no transport.
package api
