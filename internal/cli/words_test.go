package cli

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

func TestTargets(t *testing.T) {
	tests := []struct {
		words  string
		except string
		want   *fanoutv1.Target
		err    string
	}{
		{words: "all", want: &fanoutv1.Target{All: true}},
		{words: "room:news user:42 id:abc room:a:b", want: &fanoutv1.Target{Rooms: []string{"news", "a:b"}, Users: []string{"42"}, Ids: []string{"abc"}}},
		{words: "owner:chat/a/b", want: &fanoutv1.Target{All: true, Owner: &fanoutv1.Target_Owner{Group: "chat", ConsumerId: "a/b"}}},
		{words: "room:x owner:chat/1", want: &fanoutv1.Target{Rooms: []string{"x"}, Owner: &fanoutv1.Target_Owner{Group: "chat", ConsumerId: "1"}}},
		{words: "all", except: "room:x id:y", want: &fanoutv1.Target{All: true, Except: []string{"x", "y"}}},
		{words: "news", err: `"news" is no target`},
		{words: "room:", err: "names nobody"},
		{words: "all:", err: "is no target"},
		{words: "rooms:x", err: "is no target"},
		{words: "owner:chat", err: "GROUP/CONSUMER"},
		{words: "owner:a/b owner:c/d", err: "one owner"},
		{words: "all", except: "user:42", err: "--except user:42"},
		{words: "all", except: "room:", err: "--except room:"},
	}
	for _, tt := range tests {
		t.Run(tt.words+" "+tt.except, func(t *testing.T) {
			f := targetFlags{except: strings.Fields(tt.except)}
			got, err := f.target(strings.Fields(tt.words)...)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || ExitCode(err) != ExitUsage {
					t.Fatalf("got %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil || !proto.Equal(got, tt.want) {
				t.Errorf("got %v (%v), want %v", prototext.Format(got), err, prototext.Format(tt.want))
			}
		})
	}
}

func TestEventArgs(t *testing.T) {
	tests := []struct {
		name    string
		words   []string
		strings bool
		input   string
		want    string
		err     string
	}{
		{name: "none", want: `[]`},
		{name: "JSON is what it is", words: []string{`{"b":1,"a":12345678901234567890}`, "5", "null", `"5"`, " [1] "}, want: `[{"b":1,"a":12345678901234567890},5,null,"5",[1]]`},
		{name: "anything else is a string", words: []string{"text", "", "{", "NaN", "<b>", "a b", "01"}, want: `["text","","{","NaN","<b>","a b","01"]`},
		{name: "all strings", words: []string{"5", `{"a":1}`}, strings: true, want: `["5","{\"a\":1}"]`},
		{name: "input of JSON values", words: []string{"1", "-", "2"}, input: "{\"a\":\n1} 5\n\"x\"\n", want: `[1,{"a":` + "\n" + `1},5,"x",2]`},
		{name: "input of text", words: []string{"-"}, input: "two words\nand more\n", want: `["two words\nand more"]`},
		{name: "input of nothing", words: []string{"-"}, want: `[""]`},
		{name: "input as a string", words: []string{"-"}, input: "5", strings: true, want: `["5"]`},
		{name: "input twice", words: []string{"-", "-"}, input: "5", err: "may stand once"},
		{name: "a word that is not UTF-8", words: []string{"\xff"}, err: "not UTF-8"},
		{name: "input that is not UTF-8", words: []string{"-"}, input: "\"\xff\"", err: "not UTF-8"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := eventArgs(tt.words, tt.strings, strings.NewReader(tt.input))
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("got %q, %v", got, err)
				}
				return
			}
			if err != nil || got != tt.want {
				t.Errorf("got %s (%v), want %s", got, err, tt.want)
			}
		})
	}
	if _, err := eventArgs([]string{"-"}, false, strings.NewReader(strings.Repeat("x", maxInput+1))); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("an input without end: %v", err)
	}
}

// What browsers say must not be able to write over the screen.
func TestClean(t *testing.T) {
	for text, want := range map[string]string{
		"plain, ünïcödé, 日本 😀": "plain, ünïcödé, 日本 😀",
		"\x1b[31mred":          `\u001b[31mred`,
		"a\nb\tc\rd":           `a\nb\tc\rd`,
		"\u009b2J":             `\u009b2J`,
		"\u202etfel":           `\u202etfel`,
		"\xff\xfe":             `\xff\xfe`,
		"\u200b\ufeff":         `\u200b\ufeff`,
		"\U000e0041":           `\udb40\udc41`,
	} {
		if got := clean(text); got != want {
			t.Errorf("clean(%q) is %q, want %q", text, got, want)
		}
	}
	if got, want := cleanJSON("[\"\u009b\U000e0041 ok\"]"), `["\u009b\udb40\udc41 ok"]`; got != want {
		t.Errorf("JSON: %q, want %q", got, want)
	}
}

// Texts are cut and aligned by the cells that they take, which are not their bytes.
func TestCells(t *testing.T) {
	marks := strings.Repeat("\u0301", 100)
	for _, tt := range []struct {
		text string
		take int
		cut  string // to 3
	}{
		{"", 0, ""},
		{"abc", 3, "abc"},
		{"abcd", 4, "ab…"},
		{"äöü", 3, "äöü"},
		{"äöüß", 4, "äö…"},
		{"日本", 4, "日…"},
		{"a日", 3, "a日"},
		{"ab日", 4, "ab…"},
		{"😀😀", 4, "😀…"},
		{"e\u0301tat", 4, "e\u0301t…"},
		{"a" + marks, 1, "a…"},
		{"abcdef\xff", 7, "ab…"},
	} {
		if got := cells(tt.text); got != tt.take {
			t.Errorf("%q takes %d cells, want %d", tt.text, got, tt.take)
		}
		got := cut(tt.text, 3)
		if len(tt.text) > 100 {
			got = strings.ReplaceAll(got, "\u0301", "")
		}
		if got != tt.cut {
			t.Errorf("cut(%q) is %q, want %q", tt.text, got, tt.cut)
		}
		if padded := pad(tt.text, 8); cells(padded) != 8 {
			t.Errorf("pad(%q) is %q, of %d cells", tt.text, padded, cells(padded))
		}
	}
}

// Columns stand below each other whatever is in them.
func TestTablesAlign(t *testing.T) {
	var b strings.Builder
	table := newOutput(&b, false, nil).table("ROOM", "CONNECTIONS")
	for _, name := range []string{"news", "日本", "e\u0301tat", strings.Repeat("ü", 100)} {
		if err := table.row(nil, name, "1"); err != nil {
			t.Fatal(err)
		}
	}
	if err := table.flush(); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		last := strings.LastIndex(line, " ") + 1
		if at := cells(line[:last]); at != maxCell+2 {
			t.Errorf("the second column is at %d, want %d: %q", at, maxCell+2, line)
		}
	}
}

// A shell writes what it completes into the command line.
func TestCompletionsAreHarmless(t *testing.T) {
	all := []string{"news", "new room", "new;rm -rf ~", "new$(x)", "new`x`", "new\x1b", "news:1", "näws", "other"}
	got := strings.Join(harmless(all, "n"), "|")
	if want := "news|news:1|näws"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
