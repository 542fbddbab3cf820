package cli

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// clean returns text as it may be shown at a terminal: what is not printable is escaped,
// since browsers choose names and arguments, and a control character of theirs could
// move the cursor or write over what was shown before. A line stays one line.
func clean(text string) string {
	if !strings.ContainsFunc(text, hidden) {
		return text
	}
	var b strings.Builder
	for len(text) > 0 {
		r, n := utf8.DecodeRuneInString(text)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, text[0])
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\r':
			b.WriteString(`\r`)
		case hidden(r):
			escape(&b, r)
		default:
			b.WriteRune(r)
		}
		text = text[n:]
	}
	return b.String()
}

// cleanJSON returns JSON in which the same characters stand as JSON's own escapes, so that
// it means what it meant.
func cleanJSON(text string) string {
	if !strings.ContainsFunc(text, hidden) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if hidden(r) {
			escape(&b, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// hidden reports whether a terminal may take r for something else than a character to be
// shown where it stands: controls, and marks that turn the direction of what follows.
// Also U+FFFD, so that bytes that are no UTF-8 are looked at.
func hidden(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }

// escape writes r as JSON has it in strings.
func escape(b *strings.Builder, r rune) {
	if r > 0xFFFF {
		r -= 0x10000
		fmt.Fprintf(b, `\u%04x\u%04x`, 0xD800+r>>10, 0xDC00+r&0x3FF)
		return
	}
	fmt.Fprintf(b, `\u%04x`, r)
}
