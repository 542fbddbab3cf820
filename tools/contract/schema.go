package main

import (
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// message returns a reference to the schema of a message, which it adds with those of its
// fields, or the schema of one that has a form of its own in JSON.
func (d *document) message(m protoreflect.MessageDescriptor) object {
	if own := wellKnown(m.FullName()); own != nil {
		return own
	}
	name := string(m.FullName())
	if _, known := d.schemas[name]; known {
		return ref(name)
	}
	properties := object{}
	schema := object{"type": "object", "properties": properties}
	d.schemas[name] = schema // before its fields: some have messages like it
	var said []string
	if text := comment(m); text != "" {
		said = append(said, text)
	}
	for i := range m.Oneofs().Len() {
		if o := m.Oneofs().Get(i); !o.IsSynthetic() {
			var names []string
			for j := range o.Fields().Len() {
				names = append(names, o.Fields().Get(j).JSONName())
			}
			said = append(said, "At most one of these is there: "+strings.Join(names, ", ")+".")
		}
	}
	if len(said) > 0 {
		schema["description"] = strings.Join(said, "\n\n")
	}
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		s := d.field(f)
		if text := comment(f); text != "" {
			if own, has := s["description"].(string); has {
				text += "\n\n" + own
			}
			s["description"] = text
		}
		properties[f.JSONName()] = s
	}
	return ref(name)
}

// field returns the schema of a field.
func (d *document) field(f protoreflect.FieldDescriptor) object {
	switch {
	case f.IsMap():
		return object{"type": "object", "additionalProperties": d.value(f.MapValue())}
	case f.IsList():
		return object{"type": "array", "items": d.value(f)}
	}
	return d.value(f)
}

// value returns the schema of a value of a field.
func (d *document) value(f protoreflect.FieldDescriptor) object {
	switch f.Kind() {
	case protoreflect.BoolKind:
		return object{"type": "boolean"}
	case protoreflect.StringKind:
		return object{"type": "string"}
	case protoreflect.BytesKind:
		return object{"type": "string", "contentEncoding": "base64"}
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return object{"type": "integer", "format": "int32"}
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return object{"type": "integer", "minimum": 0, "maximum": 1<<32 - 1}
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return object{"type": []any{"string", "integer"}, "format": "int64"}
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return object{"type": []any{"string", "integer"}, "format": "uint64"}
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return object{"type": "number"}
	case protoreflect.EnumKind:
		return enum(f.Enum())
	}
	return d.message(f.Message())
}

// enum returns the schema of an enumeration, with what each of its values means.
func enum(e protoreflect.EnumDescriptor) object {
	var names []any
	var said []string
	for i := range e.Values().Len() {
		v := e.Values().Get(i)
		names = append(names, v.Name())
		said = append(said, "- `"+string(v.Name())+"`: "+strings.ReplaceAll(comment(v), "\n", " "))
	}
	return object{"type": "string", "enum": names, "description": strings.Join(said, "\n")}
}

// wellKnown returns the schema of a message that has a form of its own in JSON, nil for
// all others.
func wellKnown(name protoreflect.FullName) object {
	if name.Parent() != "google.protobuf" {
		return nil
	}
	switch name.Name() {
	case "Duration":
		return object{"type": "string", "pattern": `^-?[0-9]+(\.[0-9]{1,9})?s$`}
	case "Timestamp":
		return object{"type": "string", "format": "date-time"}
	case "Struct":
		return object{"type": "object"}
	case "ListValue":
		return object{"type": "array"}
	case "Value":
		return object{} // anything
	case "Any":
		return object{"type": "object", "properties": object{"@type": object{"type": "string"}}, "required": []any{"@type"}}
	case "Empty":
		return object{"type": "object"}
	}
	return nil
}
