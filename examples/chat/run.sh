#!/usr/bin/env bash
# Runs the daemon with its demo page, and the Go chat backend beside it. Ctrl-C
# ends both; so does the end of either.
#
#     examples/chat/run.sh [flags of fanoutd]
set -u
# Each program in a process group of its own: a terminal's Ctrl-C is for this
# script, which tells both once. A second signal would end the daemon at once.
set -m
cd "$(dirname "$0")/../.."

control=localhost:8081
for flag in "$@"; do
  case $flag in --control-listen=*) control=${flag#*=} ;; esac
done

"${DAEMON:-bin/fanoutd}" --demo "$@" &
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
while alive "$daemon" && alive "$chat"; do
  sleep 0.3 &
  wait $! # a signal ends it, unlike the sleep
done
stop
reap "$chat"
reap "$daemon"
