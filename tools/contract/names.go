package main

import (
	"regexp"
	"strings"
	"unicode"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// title is what a declaration is called in the reference: its name below the package, with
// "hook." before those of the hook, which has messages of its own with the same names.
func title(d protoreflect.Descriptor) string {
	pkg := d.ParentFile().Package()
	name := strings.TrimPrefix(string(d.FullName()), string(pkg)+".")
	if pkg != contract {
		return "hook." + name
	}
	return name
}

// anchor is the fragment that leads to a declaration: for those with a heading it is what
// renderers of Markdown make of it.
func anchor(d protoreflect.Descriptor) string {
	if _, field := d.(protoreflect.FieldDescriptor); field {
		return anchor(d.Parent()) + "-" + string(d.Name())
	}
	return strings.ToLower(strings.ReplaceAll(title(d), ".", ""))
}

// names finds the declarations that comments mention.
type names map[string]protoreflect.Descriptor

func (n names) add(d protoreflect.Descriptor) { n[title(d)] = d }

// find returns what a word in the comment of a declaration names: by its whole title, by
// what follows that of a message around it, or by the name of an RPC alone. Words that are
// of the language too, Emit or Target, are no names by themselves.
func (n names) find(word string, from protoreflect.Descriptor) protoreflect.Descriptor {
	if !strings.Contains(word, ".") && humps(word) < 2 {
		return nil
	}
	for at := from; at != nil; at = at.Parent() {
		if _, file := at.(protoreflect.FileDescriptor); file {
			break
		}
		if d := n[title(at)+"."+word]; d != nil {
			return d
		}
	}
	return n[word]
}

// humps counts the capital letters that begin a part of a name: two in ListUsers.
func humps(word string) (count int) {
	upper := false
	for _, c := range word {
		if unicode.IsUpper(c) && !upper {
			count++
		}
		upper = unicode.IsUpper(c)
	}
	return count
}

var (
	// code is what a comment has as such, and is left as it is.
	code = regexp.MustCompile("`[^`]*`")
	// name is a word that may be a declaration's, or a part of one's with a point in it.
	name = regexp.MustCompile(`\b[A-Z]\w*(\.\w+)*|\b\w+(\.\w+)+`)
	// reason is a word that may be the reason of an error.
	reason = regexp.MustCompile(`^[A-Z]+(_[A-Z]+)+$`)
	// marks are characters that would be markup.
	marks = regexp.MustCompile(`[*<\[\]]|\b_|_\b`)
)

// noReasons look like reasons: codes of gRPC, and a packet of Socket.IO.
var noReasons = map[string]bool{
	"INVALID_ARGUMENT": true, "DEADLINE_EXCEEDED": true, "NOT_FOUND": true, "ALREADY_EXISTS": true, "PERMISSION_DENIED": true,
	"RESOURCE_EXHAUSTED": true, "FAILED_PRECONDITION": true, "OUT_OF_RANGE": true, "DATA_LOSS": true, "CONNECT_ERROR": true,
}

// said is the comment of a declaration as Markdown, with links to what it names.
func (r *reference) said(d protoreflect.Descriptor) string {
	text := comment(d)
	var out strings.Builder
	end := 0
	for _, at := range code.FindAllStringIndex(text, -1) {
		out.WriteString(r.plain(text[end:at[0]], d))
		out.WriteString(r.link(text[at[0]+1:at[1]-1], text[at[0]:at[1]], d))
		end = at[1]
	}
	out.WriteString(r.plain(text[end:], d))
	return out.String()
}

// plain is text of the comment of d that is no code.
func (r *reference) plain(text string, d protoreflect.Descriptor) string {
	escape := func(s string) string { return marks.ReplaceAllString(s, `\$0`) }
	var out strings.Builder
	end := 0
	for _, at := range name.FindAllStringIndex(text, -1) {
		word := text[at[0]:at[1]]
		out.WriteString(escape(text[end:at[0]]))
		out.WriteString(r.link(word, escape(word), d))
		end = at[1]
	}
	out.WriteString(escape(text[end:]))
	return out.String()
}

// link shows a word that the comment of d has, as a link if it names something else.
func (r *reference) link(word, shown string, d protoreflect.Descriptor) string {
	if reason.MatchString(word) && !noReasons[word] && !r.values[word] {
		return "[" + shown + "](errors.md#" + strings.ToLower(word) + ")"
	}
	if found := r.names.find(word, d); found != nil && found != d {
		return "[" + shown + "](#" + anchor(found) + ")"
	}
	return shown
}
