// Command openapi writes the control API over HTTP as OpenAPI 3.1, from the descriptors
// of the contract and their comments. It reads a FileDescriptorSet with source info, as
// buf build makes one, and writes JSON.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "openapi:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	raw, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(raw, &set); err != nil {
		return fmt.Errorf("no set of descriptors: %w", err)
	}
	files, err := protodesc.NewFiles(&set)
	if err != nil {
		return err
	}
	// Options of the contract's own are known only now.
	if err := (proto.UnmarshalOptions{Resolver: dynamicpb.NewTypes(files)}).Unmarshal(raw, &set); err != nil {
		return err
	}
	if files, err = protodesc.NewFiles(&set); err != nil {
		return err
	}
	scope, err := files.FindDescriptorByName(contract + ".scope")
	if err != nil {
		return err
	}
	d := &document{scope: dynamicpb.NewExtensionType(scope.(protoreflect.ExtensionDescriptor)), schemas: object{}}
	files.RangeFilesByPackage(contract, func(f protoreflect.FileDescriptor) bool {
		d.services = append(d.services, services(f)...)
		return true
	})
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(d.build())
}

// contract is the package that is described.
const contract = "fanout.v1"

func services(f protoreflect.FileDescriptor) (all []protoreflect.ServiceDescriptor) {
	for i := range f.Services().Len() {
		all = append(all, f.Services().Get(i))
	}
	return all
}
