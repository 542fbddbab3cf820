// Package control is what backends and operators speak to: the gRPC services
// of fanout.v1, with authentication, health and reflection around them.
//
// It turns requests into operations and queries on a [Hub] and the answers
// back into messages. It decides nothing about connections: it knows no
// session, no packet and no lock, nor whether its Hub is one server or a
// cluster of them.
//
// What browsers do comes the other way, from an [Events]: consumers' streams
// carry it, and their answers back.
//
// One file converts (convert.go, with args.go for arguments, delivery.go for
// events and settle.go for what consumers answer), one codes errors
// (errors.go), one pages (page.go); each service has a file, and EmitStream,
// EmitWithAck, Consume and Tail one of their own.
package control
