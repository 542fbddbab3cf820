// Package webhook brings what browsers do to HTTP endpoints. Each endpoint is a consumer
// of its group, which speaks the control API's own Consume in this process: so order,
// redelivery, dead letters and backpressure are those of every consumer, over all nodes of
// a cluster. An event is a POST, a CloudEvent in the binary mode of its HTTP binding, signed
// as Standard Webhooks has it; the answer settles it.
//
// One request at a time is under way for each connection, and up to MaxInFlight for all.
// Retries are the dispatcher's redeliveries: here is decided after how long, and whether
// the event is at fault or the endpoint is.
//
// The package knows the contract and HTTP, and neither the dispatcher nor settings.
package webhook
