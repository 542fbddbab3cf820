// Package control is what backends and operators speak to: the services of
// fanout.v1, as plain types over a [Hub] and a [Dispatcher].
//
// A service turns requests into operations and queries on the Hub and the
// answers back into messages. It decides nothing about connections: it knows no
// session and no lock of theirs, and of packets the form of arguments alone
// (args.go). What browsers do comes the other way, from the Dispatcher: consumers'
// streams carry it, and their answers back.
//
// The services hold no transport ([Services]). The caller is in the context of a
// call (package identity); what stands around every call is in package
// middleware; package api is what is served, packages grpcserver and httpserver serve it
// over gRPC and HTTP. An error that a service
// returns is a status of its own or goes to the [ErrorReporter].
//
// One file converts (convert.go, with args.go for arguments, delivery.go for
// events and settle.go for what consumers answer), one codes errors
// (errors.go), one pages (page.go); each service has a file, and EmitStream,
// EmitWithAck, Consume, Tail and Watch one of their own.
//
// Locks: acks.mu and ErrorReporter.mu. Each is innermost, and
// under it only memory is touched.
package control
