// Package drain is how a node ends in order: in which phases, how far it is, and what
// those are told who follow it.
//
// It knows no server. The daemon says which phase begins and does what belongs to it; an
// operator, a signal or another node begins the drain, and any number may follow it.
package drain
