package cli

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/width"
)

// cells is how many cells of a terminal text takes, which is clean.
func cells(text string) int {
	n := 0
	for _, r := range text {
		n += cellsOf(r)
	}
	return n
}

// cellsOf is how many cells r takes: none where it is drawn over the one before, two if it is
// as wide as Chinese characters are.
func cellsOf(r rune) int {
	if r < utf8.RuneSelf {
		return 1
	}
	if unicode.In(r, unicode.Mn, unicode.Me) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// marksOfCell bounds the characters for one cell: as many as languages draw over each other.
const marksOfCell = 4

// cut returns text of at most n cells: the last is … if something is left out.
func cut(text string, n int) string {
	taken, runes, end := 0, 0, 0
	for i, r := range text {
		if taken < n {
			end = i // what is in front of it leaves room for the …
		}
		taken += cellsOf(r)
		if runes++; taken > n || runes > n*marksOfCell {
			return text[:end] + "…"
		}
	}
	return text
}

// pad returns text with blanks behind it, up to so many cells.
func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-cells(text)))
}
