package main

import (
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"

	contract "github.com/fanoutd/fanoutd/proto"
)

// runProto writes the files of the contract that this daemon speaks: into a folder, or to
// stdout one after the other, each below its path.
func runProto(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("proto", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	out := new(string)
	addProtoFlags(flags, out)
	err := flags.Parse(args)
	if err == nil {
		err = nothingBehind("proto", flags.Args())
	}
	if err != nil {
		printProblems(stderr, fmt.Errorf("proto: %w: write fanoutd proto, or fanoutd proto --out DIR", err))
		return exitSettings
	}
	if err := writeProto(*out, stdout); err != nil {
		fmt.Fprintln(stderr, "fanoutd: proto:", err)
		return exitFailed
	}
	return exitOK
}

func addProtoFlags(fs *flag.FlagSet, out *string) {
	fs.StringVar(out, "out", "", "a `FOLDER` for the files, which is made if it is not there")
}

func writeProto(dir string, stdout io.Writer) error {
	if dir != "" {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		return os.CopyFS(dir, contract.Files())
	}
	return fs.WalkDir(contract.Files(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(contract.Files(), path)
		if err == nil {
			_, err = fmt.Fprintf(stdout, "// %s\n\n%s\n", path, text)
		}
		return err
	})
}
