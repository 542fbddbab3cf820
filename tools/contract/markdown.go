package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// reference is docs/api.md while it is written.
type reference struct {
	scope  protoreflect.ExtensionType
	files  []protoreflect.FileDescriptor // of the control API, then of the hook
	names  names
	values map[string]bool // names of values of enumerations
	asked  map[protoreflect.FullName]bool
	// which RPC takes a message, and which answers it
	takes, answers map[protoreflect.FullName][]string
	out            strings.Builder
}

const introduction = `# The API

<!-- Written by tools/contract from proto/ and its comments: "make generate" renews it. -->

Every service, RPC, message, field and enumeration of the control API, ` + "`fanout.v1`" + `, and of the
hook that a backend may serve, ` + "`fanout.hook.v1`" + `. The files of the contract,
[proto/fanout](../proto/fanout), say the same, and the daemon gives its own: ` + "`fanoutd proto --out DIR`" + `.
How the parts are used together is in [backends.md](backends.md), and [http.md](http.md) says how to call them
without gRPC.

- A field that is not there has the default of its type: an empty text or list, 0, false, the value
  of an enumeration that is marked as the default, or no message. What that means stands with the field; a field
  that is "optional" tells what is not there from the default.
- Names of fields in JSON are those here or the same in lowerCamelCase; grpcurl and HTTP write the latter.
- A duration is in JSON a text of seconds, ` + "`\"1.5s\"`" + `; a timestamp one of RFC 3339, ` + "`\"2030-01-31T12:00:00Z\"`" + `;
  bytes are base64, and integers of 64 bits texts. Sizes are in bytes.
- Beside the errors that stand with an RPC it has those of its service. [errors.md](errors.md) lists all codes
  and reasons, and what to do about them.
- The scope of an RPC is what a key has to have, see [security.md](security.md#scopes).
`

func newReference(all *protoregistry.Files, scope protoreflect.ExtensionType) *reference {
	r := &reference{
		scope: scope, names: names{}, values: map[string]bool{}, asked: map[protoreflect.FullName]bool{},
		takes: map[protoreflect.FullName][]string{}, answers: map[protoreflect.FullName][]string{},
	}
	all.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		if f.Package() == contract || f.Package() == "fanout.hook.v1" {
			r.files = append(r.files, f)
		}
		return true
	})
	// The control API first, and what has services before what has none.
	slices.SortFunc(r.files, func(a, b protoreflect.FileDescriptor) int {
		return cmp.Or(-cmp.Compare(a.Package(), b.Package()), -cmp.Compare(min(1, a.Services().Len()), min(1, b.Services().Len())), cmp.Compare(order(a), order(b)), cmp.Compare(a.Path(), b.Path()))
	})
	for _, f := range r.files {
		for _, s := range services(f) {
			r.names.add(s)
			for i := range s.Methods().Len() {
				m := s.Methods().Get(i)
				r.names.add(m)
				if f.Package() == contract {
					r.names[string(m.Name())] = m
				}
				link := "[" + title(m) + "](#" + anchor(m) + ")"
				r.takes[m.Input().FullName()] = append(r.takes[m.Input().FullName()], link)
				r.answers[m.Output().FullName()] = append(r.answers[m.Output().FullName()], link)
				r.ask(m.Input())
			}
		}
		r.learn(f.Messages(), f.Enums())
	}
	return r
}

// order is where a service stands among the others: as one comes to need them.
func order(f protoreflect.FileDescriptor) int {
	return slices.Index([]string{"fanout/v1/emitter.proto", "fanout/v1/event.proto", "fanout/v1/registry.proto", "fanout/v1/admin.proto"}, f.Path())
}

// ask notes what callers send: there a default is theirs to know.
func (r *reference) ask(m protoreflect.MessageDescriptor) {
	if r.asked[m.FullName()] {
		return
	}
	r.asked[m.FullName()] = true
	for i := range m.Fields().Len() {
		if inner := m.Fields().Get(i).Message(); inner != nil {
			r.ask(inner)
		}
	}
}

func (r *reference) learn(messages protoreflect.MessageDescriptors, enums protoreflect.EnumDescriptors) {
	for i := range enums.Len() {
		r.names.add(enums.Get(i))
		for j := range enums.Get(i).Values().Len() {
			r.values[string(enums.Get(i).Values().Get(j).Name())] = true
		}
	}
	for i := range messages.Len() {
		m := messages.Get(i)
		if m.IsMapEntry() {
			continue
		}
		r.names.add(m)
		for j := range m.Fields().Len() {
			r.names.add(m.Fields().Get(j))
		}
		r.learn(m.Messages(), m.Enums())
	}
}

func (r *reference) printf(format string, args ...any) { fmt.Fprintf(&r.out, format, args...) }

func (r *reference) build() string {
	r.printf("%s", introduction)
	r.contents()
	for _, f := range r.files {
		for _, s := range services(f) {
			r.service(s)
		}
	}
	for _, f := range r.files {
		if f.Messages().Len()+f.Enums().Len() == 0 {
			continue
		}
		r.printf("\n## %s\n", heading(f))
		for i := range f.Messages().Len() {
			r.message(f.Messages().Get(i))
		}
		for i := range f.Enums().Len() {
			r.enum(f.Enums().Get(i))
		}
	}
	return r.out.String()
}

// heading is that of the messages of a file.
func heading(f protoreflect.FileDescriptor) string { return "Messages of " + f.Path() }

func (r *reference) contents() {
	r.printf("\n## Contents\n")
	for _, f := range r.files {
		for _, s := range services(f) {
			r.printf("\n**[%s](#%s)**\n\n| RPC | scope | |\n|---|---|---|\n", title(s), anchor(s))
			for i := range s.Methods().Len() {
				m := s.Methods().Get(i)
				r.printf("| [%s](#%s) | %s | %s |\n", m.Name(), anchor(m), r.scopeOf(m), r.summary(m))
			}
		}
	}
	r.printf("\n**Messages**\n\n")
	for _, f := range r.files {
		var links []string
		for i := range f.Messages().Len() {
			m := f.Messages().Get(i)
			links = append(links, "["+title(m)+"](#"+anchor(m)+")")
		}
		if len(links) > 0 {
			r.printf("- %s:\n  %s\n", f.Path(), strings.Join(links, ",\n  "))
		}
	}
}

// summary is the first sentence of what is said of a method, without its name at the
// beginning.
func (r *reference) summary(m protoreflect.MethodDescriptor) string {
	text, _, _ := strings.Cut(r.said(m), "\n\n")
	text = strings.ReplaceAll(text, "\n", " ")
	if i := strings.Index(text, ". "); i >= 0 {
		text = text[:i+1]
	}
	text = strings.TrimPrefix(text, string(m.Name())+" ")
	return strings.TrimSuffix(strings.ReplaceAll(text, "|", `\|`), ".")
}

func (r *reference) scopeOf(m protoreflect.MethodDescriptor) string {
	if scope, _ := proto.GetExtension(m.Options(), r.scope).(string); scope != "" {
		return "`" + scope + "`"
	}
	return ""
}

func (r *reference) service(s protoreflect.ServiceDescriptor) {
	r.printf("\n## %s\n\n`%s`, in [%s](../proto/%[3]s).\n\n%[4]s\n", title(s), s.FullName(), s.ParentFile().Path(), r.said(s))
	for i := range s.Methods().Len() {
		m := s.Methods().Get(i)
		stream := func(is bool) string {
			if is {
				return "stream of "
			}
			return ""
		}
		r.printf("\n### %s\n\n%s%s → %s%s", title(m), stream(m.IsStreamingClient()), r.typeLink(m.Input()), stream(m.IsStreamingServer()), r.typeLink(m.Output()))
		if scope := r.scopeOf(m); scope != "" {
			r.printf(" · scope %s", scope)
		}
		switch {
		case s.ParentFile().Package() != contract:
			r.printf(" · the daemon calls it")
		case m.IsStreamingClient():
			r.printf(" · gRPC only")
		default:
			r.printf(" · over HTTP too: `POST /%s/%s`", s.FullName(), m.Name())
		}
		r.printf("\n\n%s\n", r.said(m))
	}
}

func (r *reference) typeLink(d protoreflect.Descriptor) string {
	return "[" + title(d) + "](#" + anchor(d) + ")"
}

func (r *reference) message(m protoreflect.MessageDescriptor) {
	if m.IsMapEntry() {
		return
	}
	level := "###"
	if _, nested := m.Parent().(protoreflect.MessageDescriptor); nested {
		level = "####"
	}
	r.printf("\n%s %s\n\n%s\n", level, title(m), r.said(m))
	if of := r.takes[m.FullName()]; len(of) > 0 {
		r.printf("\nWhat %s takes.\n", strings.Join(of, ", "))
	}
	if of := r.answers[m.FullName()]; len(of) > 0 {
		r.printf("\nWhat %s answers.\n", strings.Join(of, ", "))
	}
	if m.Fields().Len() > 0 {
		r.printf("\n")
	}
	for i := range m.Fields().Len() {
		r.field(m.Fields().Get(i))
	}
	for i := range m.Enums().Len() {
		r.enum(m.Enums().Get(i))
	}
	for i := range m.Messages().Len() {
		r.message(m.Messages().Get(i))
	}
}

func (r *reference) field(f protoreflect.FieldDescriptor) {
	kind := []string{r.kind(f)}
	if o := f.ContainingOneof(); o != nil && !o.IsSynthetic() {
		kind = append(kind, "one of `"+string(o.Name())+"`")
	}
	if f.HasOptionalKeyword() {
		kind = append(kind, "optional")
	}
	if e := f.Enum(); e != nil && !f.IsList() && f.ContainingOneof() == nil && r.asked[f.ContainingMessage().FullName()] {
		kind = append(kind, "default `"+string(e.Values().ByNumber(0).Name())+"`")
	}
	r.printf("- <a id=%q></a>**`%s`** (%s): %s\n", anchor(f), f.Name(), strings.Join(kind, ", "), indent(r.said(f)))
}

func (r *reference) kind(f protoreflect.FieldDescriptor) string {
	switch {
	case f.IsMap():
		return fmt.Sprintf("map of %s to %s", r.kind(f.MapKey()), r.kind(f.MapValue()))
	case f.Enum() != nil:
		return repeated(f) + r.typeLink(f.Enum())
	case f.Message() == nil:
		return repeated(f) + f.Kind().String()
	}
	switch f.Message().FullName() {
	case "google.protobuf.Duration":
		return repeated(f) + "duration"
	case "google.protobuf.Timestamp":
		return repeated(f) + "timestamp"
	case "google.protobuf.Value":
		return repeated(f) + "any JSON value"
	case "google.protobuf.Struct":
		return repeated(f) + "JSON object"
	case "google.protobuf.Any":
		return repeated(f) + "google.protobuf.Any"
	}
	return repeated(f) + r.typeLink(f.Message())
}

func repeated(f protoreflect.FieldDescriptor) string {
	if f.IsList() {
		return "list of "
	}
	return ""
}

func (r *reference) enum(e protoreflect.EnumDescriptor) {
	r.printf("\n#### %s\n\n%s\n\n", title(e), r.said(e))
	for i := range e.Values().Len() {
		v := e.Values().Get(i)
		r.printf("- **`%s`**: %s\n", v.Name(), indent(r.said(v)))
	}
}

// indent has the lines that follow the first one stand below a list's dot.
func indent(text string) string {
	lines := strings.Split(text, "\n")
	for i := 1; i < len(lines); i++ {
		if lines[i] != "" {
			lines[i] = "  " + lines[i]
		}
	}
	return strings.Join(lines, "\n")
}
