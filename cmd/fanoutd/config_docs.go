package main

import (
	"fmt"
	"io"
)

// printConfigDocs prints docs/configuration.md.
func printConfigDocs(w io.Writer) {
	fmt.Fprint(w, `# Settings

<!-- Written by "fanoutd config docs" from what cmd/fanoutd/settings_*.go declares: "make generate" renews it. -->

Every setting can be a flag (`+"`--ping-interval=10s`"+`), an environment variable
(`+"`FANOUTD_PING_INTERVAL=10s`"+`) or a key of the YAML file that `+"`config`"+` names
(`+"`ping-interval: 10s`"+`, or `+"`ping_interval`"+`). A flag overrides a variable, a variable
overrides the file, and each is checked in full, also where another overrides it.
[operating.md](operating.md) says which settings matter when.

- A list is separated by commas; in the file it may be a YAML list. Given empty, it is empty.
- A duration has a unit: `+"`300ms`, `25s`, `1m30s`"+`. Sizes are in bytes, without a unit.
- A switch given as a flag without a value is true; `+"`--serve-client=false`"+` switches it off.
- Where a setting has another of its name with `+"`-file`"+` at the end, the latter names a file
  that holds the value: set one of them. Line breaks at the file's end do not count, nor
  does, in any file, a byte order mark at its beginning.
- A setting that has to hold something and is given empty is an error, not the default: a
  variable that was meant to be filled in was not.
- `+"`fanoutd config check`"+` says all that is wrong with the settings, files that they name
  included; `+"`config print`"+` shows what is in force and where it came from, secrets hidden;
  `+"`config default`"+` prints a file to begin with.
- A flag or a key that is no setting is an error. A variable `+"`FANOUTD_…`"+` that is none is
  named in the log and ignored (an error for `+"`config check`"+`); those that Kubernetes sets for a Service are not looked at.

At SIGHUP the daemon reads the file once more; flags and variables are those of the start.
What can change without a restart takes effect, the log names what cannot, and a file with
a mistake changes nothing. Each setting says below which it is.
`)
	newSettings(&config{}).WriteMarkdown(w)
}
