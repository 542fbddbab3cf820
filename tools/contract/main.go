// Command contract writes what is read instead of the files of the contract, from their
// descriptors and comments: proto/openapi.json, the control API over HTTP as OpenAPI 3.1,
// and docs/api.md, all of it for people. Its argument says which: openapi or markdown. It
// reads a FileDescriptorSet with source info, as buf build makes one.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "contract:", err)
		os.Exit(1)
	}
}

func run(args []string, in io.Reader, out io.Writer) error {
	if len(args) != 1 {
		return fmt.Errorf("openapi or markdown is wanted, and there is %q", args)
	}
	files, scope, err := read(in)
	if err != nil {
		return err
	}
	switch args[0] {
	case "openapi":
		d := &document{scope: scope, schemas: object{}}
		files.RangeFilesByPackage(contract, func(f protoreflect.FileDescriptor) bool {
			d.services = append(d.services, services(f)...)
			return true
		})
		e := json.NewEncoder(out)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		return e.Encode(d.build())
	case "markdown":
		_, err := io.WriteString(out, newReference(files, scope).build())
		return err
	}
	return fmt.Errorf("openapi or markdown is wanted, and there is %q", args[0])
}

// read returns what a FileDescriptorSet describes, and the option that says which scope an
// RPC needs.
func read(in io.Reader) (*protoregistry.Files, protoreflect.ExtensionType, error) {
	raw, err := io.ReadAll(in)
	if err != nil {
		return nil, nil, err
	}
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(raw, &set); err != nil {
		return nil, nil, fmt.Errorf("no set of descriptors: %w", err)
	}
	files, err := protodesc.NewFiles(&set)
	if err != nil {
		return nil, nil, err
	}
	// Options of the contract's own are known only now.
	if err := (proto.UnmarshalOptions{Resolver: dynamicpb.NewTypes(files)}).Unmarshal(raw, &set); err != nil {
		return nil, nil, err
	}
	if files, err = protodesc.NewFiles(&set); err != nil {
		return nil, nil, err
	}
	scope, err := files.FindDescriptorByName(contract + ".scope")
	if err != nil {
		return nil, nil, err
	}
	return files, dynamicpb.NewExtensionType(scope.(protoreflect.ExtensionDescriptor)), nil
}

// contract is the package of the control API.
const contract = "fanout.v1"

func services(f protoreflect.FileDescriptor) (all []protoreflect.ServiceDescriptor) {
	for i := range f.Services().Len() {
		all = append(all, f.Services().Get(i))
	}
	return all
}

// comment is what stands above a declaration.
func comment(d protoreflect.Descriptor) string {
	text := d.ParentFile().SourceLocations().ByDescriptor(d).LeadingComments
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(strings.TrimRight(line, " "), " ")
	}
	return strings.Join(lines, "\n")
}
