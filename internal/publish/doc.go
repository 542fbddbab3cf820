// Package publish carries messages between backends: who is a member and asked for a topic
// has a mailbox, gets what is published to the topic, and may answer. It knows neither
// connections, nor transports, nor how nodes reach each other.
//
// A message reaches a member at most once, is kept nowhere, and waits for nobody: for a
// mailbox that has no room it is dropped, which the publisher is told. What one caller
// publishes comes to each member in order.
//
// [Topics] are the mailboxes of one node. A [Publication] is one publish, over all nodes:
// each is a part of it, says whom it asked, and then, if answers are awaited, what became of
// each. These may come in any order.
package publish
