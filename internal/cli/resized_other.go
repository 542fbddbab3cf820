//go:build !unix

package cli

import "os"

// resized never tells: there the next page finds it out.
func resized() (c <-chan os.Signal, stop func()) { return nil, func() {} }
