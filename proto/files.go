// Package proto is the contract as text: the files that backends generate code from, and
// the control API over HTTP as OpenAPI, which is generated from them.
package proto

import (
	"embed"
	"io/fs"
)

//go:embed fanout/v1/*.proto fanout/hook/v1/*.proto
var files embed.FS

// Files are the files of the control API and of the hook, by the paths under which they
// import each other.
func Files() fs.FS { return files }

// OpenAPI is the control API over HTTP, as OpenAPI 3.1 in JSON.
//
//go:embed openapi.json
var OpenAPI []byte
