package cli

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"
	"golang.org/x/term"
)

func TestKeys(t *testing.T) {
	for input, want := range map[string][]key{
		"":                  nil,
		"q":                 {'q'},
		"sq":                {'s', 'q'},
		"\x03":              {keyCtrlC},
		"\x1b":              {keyEscape},
		"\x1b[A":            nil,
		"\x1b[1;5Cq":        {'q'},
		"\x1bOPq":           {'q'},
		"\x1bxq":            {'q'}, // with Alt
		"\x1b[200~q\x1b[20": {'q'},
	} {
		if got := keysOf(input); !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", input, got, want)
		}
	}
}

// asPanic is the variable that makes the test's own binary one that panics before a screen.
const asPanic = "TEST_AS_PANIC"

// A panic, in whichever goroutine, shows what it has to say on a terminal that is as it was.
func TestScreenPanics(t *testing.T) {
	switch os.Getenv(asPanic) {
	case "here":
		s, err := openScreen(os.Stdout, true)
		if err != nil {
			t.Fatal(err)
		}
		defer s.close()
		panic("a mistake")
	case "in a goroutine":
		s, err := openScreen(os.Stdout, true)
		if err != nil {
			t.Fatal(err)
		}
		defer s.close()
		never := make(chan struct{})
		go func() {
			defer s.guard()
			panic("a mistake")
		}()
		<-never
	}
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, where := range []string{"here", "in a goroutine"} {
		t.Run(where, func(t *testing.T) {
			keys, tty, err := pty.Open()
			if err != nil {
				t.Skipf("there are no terminals: %v", err)
			}
			defer keys.Close()
			before, err := term.GetState(int(tty.Fd()))
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(binary, "-test.run=^TestScreenPanics$")
			cmd.Env = append(os.Environ(), asPanic+"="+where)
			cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			wrote := make(chan string)
			go func() {
				text, _ := io.ReadAll(keys) // a terminal that is closed is an error
				wrote <- string(text)
			}()
			var failed *exec.ExitError
			if err := cmd.Wait(); !errors.As(err, &failed) {
				t.Errorf("it ended with %v", err)
			}
			after, err := term.GetState(int(tty.Fd()))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(after, before) {
				t.Errorf("the terminal is in another mode: %+v, before %+v", after, before)
			}
			tty.Close()
			text := <-wrote
			begin, end, says := strings.Index(text, beginScreen), strings.Index(text, endScreen), strings.Index(text, "a mistake")
			if begin < 0 || end < begin || says < end {
				t.Errorf("it wrote %q", text)
			}
		})
	}
}
