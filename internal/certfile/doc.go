// Package certfile keeps certificates those of PEM files that are replaced while the
// process runs: the next TLS handshake has what is in the files now, and connections
// that are open stay as they are. Files that are wrong change nothing, and are logged.
//
// It knows no listener and no setting.
package certfile
