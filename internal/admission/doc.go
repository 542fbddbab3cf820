// Package admission decides who may connect, and as whom.
//
// A decision is made of up to three parts: what a token says (package token),
// what the hook answers (package hook), and the verdicts of the consumers that
// authorise (package dispatch). Each is a [Source]. They are asked one after the
// other, in this order, and all of them have to allow; a [NotBlocked] between them refuses
// whom they have named and somebody has blocked; [Merge] says what becomes
// of what they grant. [Backend] asks them for a Socket.IO server.
//
// # Errors
//
// A [*sio.Refusal] is a decision, and final. A [*sio.Unavailable] is a failure to
// decide, which may pass. Any other error is one that the client learns nothing
// about; a source returns such a one if the session ended while it was asked.
//
// # Locks
//
// There is none. A source is asked under none, also of the session's: it may block, and holds up its namespace of that session only.
package admission
