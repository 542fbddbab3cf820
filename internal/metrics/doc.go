// Package metrics counts: by one label, and durations. Counting takes atomic memory
// alone, so that it may happen under any lock and on every packet. It knows no
// exporter; package ops reads what others have counted.
package metrics
