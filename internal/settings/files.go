package settings

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
)

// maxFile bounds the files that settings name, in bytes: far beyond any that a
// person wrote, while a device or a pipe would never end.
const maxFile = 1 << 20

// ReadFile reads a file that a person wrote: settings, a key, a certificate. A byte order
// mark, by which some editors mark UTF-8, is no part of it.
func ReadFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, fmt.Errorf("%s is no file of at most %d bytes", path, maxFile)
	}
	text, err := os.ReadFile(path)
	return bytes.TrimPrefix(text, []byte("\ufeff")), err
}

// CheckFiles returns the problems of the files that settings name and that cannot be
// read: a file that was meant to be there and is not, as when it was not mounted. What
// is in them it does not look at.
func (s *Set) CheckFiles() error {
	var problems []error
	for _, x := range s.All() {
		if !x.IsFile() || !x.IsSet() || x == s.file {
			continue
		}
		if x.IsEmpty() {
			problems = append(problems, x.problem("is set, but empty: leave it out if none is meant"))
		} else if _, err := ReadFile(x.raw); err != nil {
			problems = append(problems, x.problem("%w: name a file that this process may read", err))
		}
	}
	return Join(problems...)
}

// FileSums returns, by setting, what differs when the files that these settings name
// differ in what they hold, or cannot be read.
func (s *Set) FileSums(names []string) map[string]string {
	sums := map[string]string{}
	for _, name := range names {
		x := s.Get(name)
		if !x.IsFile() || !x.IsSet() {
			continue
		}
		text, err := ReadFile(x.raw)
		if err != nil {
			sums[name] = err.Error()
			continue
		}
		sum := sha256.Sum256(text)
		sums[name] = string(sum[:])
	}
	return sums
}

// SecretFile returns what is in the file that the setting name-file names, for
// the setting called name, without the line breaks at its end; nil if name-file
// is not set. A secret that was meant to be there and is not, as when it was not
// mounted, is an error; so is one that is given twice.
func (s *Set) SecretFile(name string) ([]byte, error) {
	given, file := s.Get(name), s.Get(name+"-file")
	switch {
	case given.IsEmpty():
		return nil, given.Errorf("is set, but empty: leave it out if none is meant")
	case file.IsEmpty():
		return nil, file.Errorf("is set, but empty: leave it out if none is meant")
	case !file.IsSet():
		return nil, nil
	case given.IsSet():
		return nil, file.Errorf("%s is set too (%s): set one of them", name, given.Source())
	}
	text, err := ReadFile(file.raw)
	if err != nil {
		return nil, file.Errorf("%v", err)
	}
	if text = bytes.TrimRight(text, "\r\n"); len(text) == 0 {
		return nil, file.Errorf("the file %s is empty", file.raw)
	}
	return text, nil
}
