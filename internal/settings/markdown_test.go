package settings

import (
	"strings"
	"testing"
)

func TestMarkdown(t *testing.T) {
	s := declare(&values{})
	s.Declare("More", Setting{Name: "workers", Help: "how many", Reloadable: true, Value: Number(new(int), 1, 1, 9)},
		Setting{Name: "cert-file", Help: "a certificate", Reloadable: true, Value: File(new(string))},
		Setting{Name: "pages", Help: "pages such as *.html", Value: Strings(new([]string), nil, "a*b")})
	var b strings.Builder
	s.WriteMarkdown(&b)
	for _, want := range []string{
		`
## Listeners

### listen

Where browsers connect.

- flag ` + "`--listen`, variable `PROG_LISTEN`, key `listen`" + `
- address, default ` + "`:8080`" + `; allowed: HOST:PORT or :PORT
- a change takes a restart

### control-listen
`,
		"- address, not set by default; allowed: HOST:PORT or :PORT or unix:/PATH\n",
		"- duration, default `25s`; allowed: a duration from 1ms",
		"- number, default `2000`; allowed: a number of bytes",
		"- switch, default `false`; allowed: true or false\n",
		"- choice, default `low`; allowed: high, low\n",
		"- text, not set by default; allowed: any text\n- a change takes a restart\n- a secret: never shown",
		"- number, default `1`; allowed: a number from 1 to 9\n- a change takes effect at SIGHUP\n",
		"- file, not set by default; allowed: the name of a file\n- the file is read again when it changes, and at SIGHUP\n",
		"- flag `--config`, variable `PROG_CONFIG`\n",
		"Pages such as \\*.html.\n",
		"- list, empty by default; allowed: a\\*b\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in:\n%s", want, &b)
		}
	}
}
