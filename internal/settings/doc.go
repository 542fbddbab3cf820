// Package settings reads what a program was told, from its command line, its
// environment and a YAML file, and says where each mistake stands.
//
// A program declares every [Setting] once: its name, its help, a [Value] that
// holds its type, its default and where it goes, and whether it is a secret or
// may change while the program runs. The flag --ping-interval, the variable
// FANOUTD_PING_INTERVAL, the keys ping-interval and ping_interval of the file,
// and the help follow from that.
//
// The file counts least and the command line most, but each source is checked in
// full, so that a mistake is found before something else stops covering it. Every
// error names the setting and its source: "flag --x", "environment variable
// PROGRAM_X" or "file f.yaml, line 3".
//
// The package knows no setting and no type of the program's: declarations stand
// beside the code that uses the values, and types of their own come in as parse
// functions ([Scalar], [List]).
//
// Nothing here is safe for concurrent use: a program reads its settings before
// it starts anything else.
package settings
