package main

import (
	"fmt"
	"io"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/fanoutd/fanoutd/internal/admission"
	"github.com/fanoutd/fanoutd/internal/admission/hook"
	"github.com/fanoutd/fanoutd/internal/admission/token"
	"github.com/fanoutd/fanoutd/internal/control"
	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/sio/engineio"
)

// connectErrors are the messages of the daemon's own that a client's connect_error may have.
var connectErrors = []struct{ message, when string }{
	{sio.MessageInvalidNamespace, "The namespace is none of `namespaces`."},
	{sio.MessageTooManyNamespaces, "One client asked for more than 100 namespaces."},
	{sio.MessageBlocked, "The user is blocked: [RegistryService.Block](api.md#registryserviceblock)."},
	{sio.MessageTryAgain, "Nobody could decide, and the client is in another namespace, so that its session stays. `data` is `{\"retry\":true}`. The page should connect again in a while."},
	{sio.MessageRefused, "Something went wrong that clients are not told: see the log at level debug, or error."},
	{sio.MessageUnknownParser, "The client has another parser than the server."},
	{string(token.Missing), "Tokens are asked for (`jwt-…`, `jwks-url`), and there is none."},
	{string(token.Expired), "The token's time is over. A new one will do."},
	{string(token.Invalid), "The token is not acceptable: its signature, issuer, audience or form. The log says why, at level debug."},
	{hook.AuthTooLarge, "The client passes more than 64 KiB as `auth`, and a hook is asked."},
	{admission.NotAuthorized, "A consumer's verdict or the hook refused without a message, or what was granted had expired."},
}

// exitCodes are those of the process.
var exitCodes = []struct {
	code int
	when string
}{
	{exitOK, "It ended in order: by SIGTERM, SIGINT or a drain, or the command was carried out."},
	{exitFailed, "A listener could not be bound, serving broke off, or a command failed; `healthcheck`: the daemon is not ready. Another start may help."},
	{exitSettings, "The command line, a variable or the file is wrong: stderr says all that is. Another start does not help."},
}

// printErrorsDocs prints docs/errors.md.
func printErrorsDocs(w io.Writer) {
	fmt.Fprint(w, `# Errors

<!-- Written by "fanoutd errors" from what the code declares: "make generate" renews it. -->

What backends, browsers and operators may be told, when, and what to do about it.

## Codes of the control API

An error has a code and a message for people. Programs go by the code, and by the reason of
the `+"`google.rpc.ErrorInfo`"+` among its details where there is one; messages may change. The HTTP status
is that of calls [over HTTP](http.md#errors).

| code | HTTP | when | what to do |
|---|---|---|---|
`)
	http := map[codes.Code]int{}
	for _, c := range control.Codes() {
		http[c.Code] = c.HTTP
		fmt.Fprintf(w, "| `%s` | %d | %s | %s |\n", codeName(c.Code), c.HTTP, c.When, c.Do)
	}
	fmt.Fprint(w, `
Failures of single connections, consumers and events are values of enumerations in answers:
[EmitWithAckResponse.Failed.Reason](api.md#emitwithackresponsefailedreason), [DeadLetter.Reason](api.md#deadletterreason).

## Reasons

The domain is `+"`fanoutd`"+`. A reason in a release keeps its name, code and meaning.
`)
	for _, r := range control.Reasons() {
		fmt.Fprintf(w, "\n### %s\n\n`%s`, HTTP %d", r.Name, codeName(r.Code), http[r.Code])
		if len(r.Metadata) > 0 {
			fmt.Fprintf(w, "; metadata `%s`", strings.Join(r.Metadata, "`, `"))
		}
		fmt.Fprintf(w, ".\n%s\n\n%s\n", r.When, r.Do)
	}
	fmt.Fprint(w, `
## Refused requests of browsers

What the browsers' listener answers in place of a session: JSON with `+"`code` and `message`"+`, or the
message alone where a WebSocket is refused, then with status 400 where none of 429, 503 or a block
is meant. 429 and 503 have Retry-After. `+"`fanoutd_refused_total`"+` counts them by `+"`reason`"+`.

| code | HTTP | message | reason | when |
|---|---|---|---|---|
`)
	for _, r := range engineio.Refusals() {
		fmt.Fprintf(w, "| %d | %d | %s | `%s` | %s |\n", r.Code, r.Status, r.Message, r.Counted, r.When)
	}
	fmt.Fprint(w, `
A POST that is larger than `+"`max-payload`"+` is 413, and one that breaks the protocol 400 without a body, which ends its
session. In a cluster a request for a session whose node cannot be reached is 503, code 1.

## connect_error

What a client's `+"`connect_error`"+` has as `+"`message`"+`. A stock client does not connect again by itself after one. A verdict and
the hook may have messages and `+"`data`"+` of their own. Where nobody could decide, clients in no namespace get none: their
transport closes, and they come back.

| message | when |
|---|---|
`)
	for _, c := range connectErrors {
		fmt.Fprintf(w, "| %s | %s |\n", c.message, c.when)
	}
	fmt.Fprint(w, `
## Why connections end

The `+"`reason`"+` of a DISCONNECTED event and of `+"`fanoutd_connections_closed_total`"+`, its [cause](api.md#eventcause) for programs,
and the code of the close frame where a WebSocket ends for it. The stock client shows its own words: "io server disconnect"
where a namespace was ended, and otherwise "transport close" or what it noticed itself.

| reason | cause | close code | when |
|---|---|---|---|
`)
	for _, e := range control.Ends {
		fmt.Fprintf(w, "| %s | `%s` | %s | %s |\n", e.Reason, e.Cause, closeCode(e.Reason), e.When)
	}
	fmt.Fprint(w, `
## Exit codes

| code | when |
|---|---|
`)
	for _, c := range exitCodes {
		fmt.Fprintf(w, "| %d | %s |\n", c.code, c.when)
	}
	fmt.Fprint(w, `
A second signal ends the process at once: then its code is the signal's, as the system has it.
`)
}

// closeCode is the close code of a reason, a dash for one that ends no session.
func closeCode(reason string) string {
	switch reason {
	case sio.ReasonClientDisconnect, sio.ReasonServerDisconnect, sio.ReasonReplaced, sio.ReasonNotRecovered, "node lost":
		return "–"
	}
	return fmt.Sprint(engineio.CloseCode(reason))
}

// codeName is the name of a code as the contract's comments have it.
func codeName(c codes.Code) string {
	switch c {
	case codes.Canceled:
		return "CANCELLED"
	case codes.OK:
		return "OK"
	}
	var name strings.Builder
	for i, r := range c.String() {
		if i > 0 && r >= 'A' && r <= 'Z' {
			name.WriteByte('_')
		}
		name.WriteRune(r)
	}
	return strings.ToUpper(name.String())
}
