package bus

import "strings"

// ValidSubject reports whether one may publish to a subject: tokens separated by dots,
// none of them empty, no blanks, no wildcards.
func ValidSubject(subject string) bool {
	return ValidPattern(subject) && !strings.Contains(subject, "*")
}

// ValidPattern reports whether one may subscribe to a subject: as ValidSubject, but
// tokens may be `*`. NATS has `>` too, which nothing here needs.
func ValidPattern(subject string) bool {
	for token := range strings.SplitSeq(subject, ".") {
		if token == "" || strings.ContainsAny(token, " \t\r\n>") || strings.Contains(token, "*") && token != "*" {
			return false
		}
	}
	return true
}

// match reports whether a subscription to pattern receives what is published to subject.
func match(pattern, subject string) bool {
	for {
		p, patternRest, patternMore := strings.Cut(pattern, ".")
		s, subjectRest, subjectMore := strings.Cut(subject, ".")
		if p != "*" && p != s || patternMore != subjectMore {
			return false
		}
		if !patternMore {
			return true
		}
		pattern, subject = patternRest, subjectRest
	}
}
