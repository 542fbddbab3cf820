package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// object is one of JSON; its members are written in the order of their names.
type object = map[string]any

// document is what is being written.
type document struct {
	scope    protoreflect.ExtensionType
	services []protoreflect.ServiceDescriptor
	schemas  object // by the full name of the message
}

const about = `Every RPC of fanout.v1 with one request, as a POST with JSON: the Connect protocol. The
files of the contract are what this is written from, and say the same; the daemon
gives them at /proto.

- Names of fields may be those of the contract too (args_json). A field that is not
  there is an error that names it.
- Methods of many answers give a JSON object a line, or server-sent events to
  "Accept: text/event-stream".
- Consume, Execute and EmitStream stream both ways and are gRPC's alone.`

func (d *document) build() object {
	slices.SortFunc(d.services, func(a, b protoreflect.ServiceDescriptor) int { return cmp.Compare(a.FullName(), b.FullName()) })
	paths, tags := pages(), []any{}
	for _, s := range d.services {
		tags = append(tags, object{"name": s.Name(), "description": comment(s)})
		for i := range s.Methods().Len() {
			if m := s.Methods().Get(i); !m.IsStreamingClient() {
				paths[fmt.Sprintf("/%s/%s", s.FullName(), m.Name())] = object{"post": d.operation(m)}
			}
		}
	}
	d.schemas["Error"] = errorSchema()
	return object{
		"openapi": "3.1.0",
		"info": object{
			"title": "fanoutd: the control API over HTTP", "version": "v1", "description": about,
			"license": object{"name": "MIT", "identifier": "MIT"},
		},
		"servers":  []any{object{"url": "/", "description": "the daemon that this document comes from"}},
		"security": []any{object{"key": []any{}}, object{}},
		"tags":     tags,
		"paths":    paths,
		"components": object{
			"schemas": d.schemas,
			"securitySchemes": object{"key": object{
				"type": "http", "scheme": "bearer",
				"description": "A key of control-key or control-keys-file. A client certificate may stand for it, and a daemon without any asks for none.",
			}},
			"responses": object{"Error": object{
				"description": "The call failed: its code is gRPC's.", "content": inJSON(ref("Error")),
			}},
		},
	}
}

// operation describes a method.
func (d *document) operation(m protoreflect.MethodDescriptor) object {
	said := comment(m)
	summary, _, _ := strings.Cut(said, "\n\n")
	if i := strings.Index(summary, ". "); i >= 0 {
		summary = summary[:i+1]
	}
	if scope, _ := proto.GetExtension(m.Options(), d.scope).(string); scope != "" {
		said += "\n\nA key needs the scope `" + scope + "`."
	}
	answer := d.message(m.Output())
	content := inJSON(answer)
	if m.IsStreamingServer() {
		content = object{
			"application/x-ndjson": object{"schema": answer},
			"text/event-stream":    object{"schema": object{"type": "string", "description": "Events whose data is one answer each."}},
		}
	}
	return object{
		"operationId": fmt.Sprintf("%s_%s", m.Parent().Name(), m.Name()),
		"tags":        []any{m.Parent().Name()},
		"summary":     strings.ReplaceAll(summary, "\n", " "),
		"description": said,
		"requestBody": object{"required": true, "content": inJSON(d.message(m.Input()))},
		"responses": object{
			"200":     object{"description": "OK", "content": content},
			"default": object{"$ref": "#/components/responses/Error"},
		},
	}
}

// pages are what there is beside the RPCs.
func pages() object {
	text := func(summary, form string, more object) object {
		responses := object{"200": object{"description": "OK", "content": object{form: object{}}}}
		get := object{"summary": summary, "responses": responses}
		for name, v := range more {
			get[name] = v
		}
		return object{"get": get}
	}
	health := object{"type": "object", "properties": object{"status": object{"enum": []any{"SERVING", "NOT_SERVING"}}}}
	answer := func(said string) object { return object{"description": said, "content": inJSON(health)} }
	return object{
		"/healthz": object{"get": object{
			"operationId": "health", "summary": "Whether the daemon serves. It needs no key.", "security": []any{},
			"responses": object{"200": answer("It serves."), "503": answer("It is shutting down.")},
		}},
		"/openapi.json": text("This document.", "application/json", object{"operationId": "openapi"}),
		"/proto":        text("The files of the contract that the daemon speaks, as a tar archive.", "application/x-tar", object{"operationId": "proto"}),
		"/proto/{file}": text("One of them, such as fanout/v1/emitter.proto.", "text/plain", object{
			"operationId": "protoFile",
			"parameters":  []any{object{"name": "file", "in": "path", "required": true, "schema": object{"type": "string"}}},
		}),
	}
}

func inJSON(schema any) object { return object{"application/json": object{"schema": schema}} }

func ref(name string) object { return object{"$ref": "#/components/schemas/" + name} }

// errorSchema is an error as Connect has it.
func errorSchema() object {
	return object{
		"type": "object",
		"properties": object{
			"code": object{"enum": []any{
				"canceled", "unknown", "invalid_argument", "deadline_exceeded", "not_found", "already_exists", "permission_denied", "resource_exhausted",
				"failed_precondition", "aborted", "out_of_range", "unimplemented", "internal", "unavailable", "data_loss", "unauthenticated",
			}},
			"message": object{"type": "string", "description": "What was wrong, for people."},
			"details": object{"type": "array", "items": object{
				"type": "object",
				"properties": object{
					"type":  object{"type": "string", "description": "A message's name: google.rpc.BadRequest with the fields at fault, google.rpc.ErrorInfo with a reason, google.rpc.RetryInfo."},
					"value": object{"type": "string", "contentEncoding": "base64", "description": "The message, in binary, without padding."},
					"debug": object{"description": "The same in JSON."},
				},
			}},
		},
		"required": []any{"code"},
	}
}
