package cli

// Topic is what the help of several commands explains alike.
type Topic struct{ Title, Text string }

// Topics returns all of these.
func Topics() []Topic {
	return []Topic{{"Targets", targetHelp}, {"Arguments of events", argsHelp}}
}
