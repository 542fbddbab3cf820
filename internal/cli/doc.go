// Package cli is the control API for people at a terminal: the commands of fanoutd that
// call a daemon, such as emit, connections and drain.
//
// [Add] adds them to a tree of commands of github.com/spf13/cobra. Each command turns its
// words into one request of gen/, sends it, and shows the answer: as a table or a sentence,
// or with --json as one JSON object a line, as the API has it over HTTP. They know the
// contract and nothing of the daemon: no package below internal/ is imported here, so what
// they can do everybody can.
//
// Whatever came from a browser is shown with its control characters escaped (clean.go).
// Commands end with an [Exit] code, which [Exits] lists; [ExitCode] has it of what a command
// returned.
package cli
