// Package monitoring has the tests of deploy/prometheus and deploy/grafana: Prometheus' own
// parser reads what they ask for, its engine evaluates the alerts, and what they name is
// compared with what the daemon has.
//
// It is a module of its own, so that Prometheus is none of the daemon's.
package monitoring
