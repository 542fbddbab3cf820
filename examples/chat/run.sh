#!/usr/bin/env bash
# Runs the daemon with its demo page, and the Go chat backend beside it, and says where they
# are. Ctrl-C ends both; so does the end of either.
#
#     examples/chat/run.sh [flags of fanoutd]
set -u
# Each program in a process group of its own: a terminal's Ctrl-C is for this
# script, which tells both once. A second signal would end the daemon at once.
set -m
cd "$(dirname "$0")/../.."

fanoutd=${DAEMON:-bin/fanoutd}
# What the flags, the variables and the file say together.
settings=$("$fanoutd" config print --demo "$@") || exit
setting() { sed -n "s/^$1: \(.*\) # .*/\1/p" <<<"$settings" | tr -d "\"'"; }
# A listener's address as one to call: one for every interface is this machine's too.
reach() {
  case $1 in
    :* | 0.0.0.0:* | \[::\]:*) echo "localhost:${1##*:}" ;;
    *) echo "$1" ;;
  esac
}
control=$(reach "$(setting control-listen)")
announce() {
  local scheme=http
  [ -n "$(setting tls-cert-file)" ] && scheme=https
  printf '\033[1m== the demo page is at %s - open it in two tabs\033[0m\n' "$scheme://$(reach "$(setting listen)")"
  printf '%s\n' \
    'Then paste these into another terminal; the page offers more, for the very tab it is in.' \
    'No grpcurl yet? "make bin/grpcurl" builds bin/grpcurl.' '' \
    "  grpcurl -plaintext -d '{\"to\":{\"all\":true},\"event\":\"new message\",\"args\":[{\"msg\":\"hello\"}]}' $control fanout.v1.EmitterService/Emit" \
    "  grpcurl -plaintext -d '{\"to\":{\"all\":true}}' $control fanout.v1.RegistryService/ListConnections" '' \
    "Health and metrics are at http://$(reach "$(setting ops-listen)"). Ctrl-C ends the daemon and the chat."
}

"$fanoutd" --demo "$@" &
daemon=$!
"${CHAT:-bin/chat}" "$control" &
chat=$!

stopped=
stop() {
  [ -z "$stopped" ] && kill -TERM "$daemon" "$chat" 2>/dev/null
  stopped=yes
}
alive() { kill -0 "$1" 2>/dev/null; }
# Waits for a program to end and returns its status; a further Ctrl-C interrupts
# the wait only.
reap() {
  local status
  while :; do
    wait "$1"
    status=$?
    alive "$1" || return "$status"
  done
}

trap stop INT TERM HUP
announced=
while alive "$daemon" && alive "$chat"; do
  if [ -z "$announced" ] && "$fanoutd" healthcheck "$@" >/dev/null 2>&1; then
    announce
    announced=yes
  fi
  sleep 0.3 &
  wait $! # a signal ends it, unlike the sleep
done
stop
reap "$chat"
reap "$daemon"
