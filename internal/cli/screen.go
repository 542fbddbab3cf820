package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// What a screen is begun and ended with: the other page of the terminal, without a cursor,
// and without lines that go on on the next one.
const (
	beginScreen = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"
	endScreen   = "\x1b[?7h\x1b[?25h\x1b[?1049l"
)

// style is how a line is shown.
type style string

const (
	plain  style = ""
	bold   style = "\x1b[1m"
	alarm  style = "\x1b[31m" // red
	normal style = "\x1b[0m"
)

// line is one line of a screen, of clean text.
type line struct {
	text  string
	style style
}

// screen is a terminal that shows one page of lines, and hands over the keys that are
// pressed. Create it with openScreen. restore may be called by any goroutine, the rest by
// one.
type screen struct {
	out    *os.File
	styled bool
	width  int // of the last page that was shown, in cells
	height int

	keyboard *os.File    // nil: there is none
	cooked   *term.State // of it before
	keys     chan key    // closed when there are no more
	done     chan struct{}
	reading  sync.WaitGroup
	restored sync.Once
}

// key is one key that was pressed.
type key rune

// Keys that are no characters.
const (
	keyCtrlC  key = 0x03
	keyEscape key = 0x1b
)

// openScreen takes over the terminal that out is. Where the process has no terminal to hear
// keys from, there are none, and signals alone end what runs.
func openScreen(out *os.File, styled bool) (*screen, error) {
	s := &screen{out: out, styled: styled, keys: make(chan key), done: make(chan struct{})}
	keyboard, err := os.OpenFile("/dev/tty", os.O_RDWR, 0) // of its own, so that what is read of it can be broken off
	if err == nil {
		if s.cooked, err = raw(keyboard); err != nil {
			_ = keyboard.Close() // it was not used
		} else {
			s.keyboard = keyboard
		}
	}
	if _, err := io.WriteString(out, beginScreen); err != nil {
		s.restore()
		return nil, err
	}
	if s.keyboard == nil {
		return s, nil
	}
	s.reading.Go(s.read)
	return s, nil
}

// raw has a terminal hand over each key as it is pressed, Ctrl-C too, and show none.
func raw(f *os.File) (before *term.State, err error) {
	conn, err := f.SyscallConn() // Fd would have reads wait for ever
	if err != nil {
		return nil, err
	}
	if e := conn.Control(func(fd uintptr) { before, err = term.MakeRaw(int(fd)) }); e != nil {
		return nil, e
	}
	return before, err
}

// close gives the terminal back, as it was.
func (s *screen) close() {
	s.restore()
	close(s.done)
	if s.keyboard == nil {
		return
	}
	if s.keyboard.SetReadDeadline(time.Now()) == nil {
		s.reading.Wait()
	} // elsewhere the read ends with the process
	_ = s.keyboard.Close() // nothing was written
}

// restore has the terminal look and behave as before. Calls after the first do nothing.
func (s *screen) restore() {
	s.restored.Do(func() {
		_, _ = io.WriteString(s.out, endScreen) // if the terminal is gone it needs nothing
		if s.keyboard == nil {
			return
		}
		conn, err := s.keyboard.SyscallConn()
		if err == nil {
			_ = conn.Control(func(fd uintptr) { _ = term.Restore(int(fd), s.cooked) }) // likewise
		}
	})
}

// guard is deferred by goroutines beside that of the screen: their panic, which ends the
// process, would leave the terminal as it is.
func (s *screen) guard() {
	if v := recover(); v != nil {
		s.restore()
		panic(v)
	}
}

// sequenceWait is how long the rest of what a key sends may take: an Escape that is
// followed by more is none.
const sequenceWait = 50 * time.Millisecond

// read hands over keys until the screen is closed.
func (s *screen) read() {
	defer s.guard()
	defer close(s.keys)
	buffer := make([]byte, 64)
	for {
		n, err := s.keyboard.Read(buffer)
		if n == 1 && key(buffer[0]) == keyEscape && s.keyboard.SetReadDeadline(time.Now().Add(sequenceWait)) == nil {
			more, e := s.keyboard.Read(buffer[1:])
			n += more
			if !errors.Is(e, os.ErrDeadlineExceeded) {
				err = e
			}
			_ = s.keyboard.SetReadDeadline(time.Time{}) // it could be set
			select {
			case <-s.done: // close has set another meanwhile
				return
			default:
			}
		}
		for _, k := range keysOf(string(buffer[:n])) {
			select {
			case s.keys <- k:
			case <-s.done:
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// keysOf are the keys that were pressed for input. What a key sends that is none of these,
// such as an arrow, is none.
func keysOf(input string) []key {
	var all []key
	for input != "" {
		if rest, ok := strings.CutPrefix(input, "\x1b"); ok && rest != "" {
			input = behindSequence(rest)
			continue
		}
		all = append(all, key(input[0]))
		input = input[1:]
	}
	return all
}

// behindSequence returns what follows the rest of an escape sequence (ECMA-48): [ or O with
// parameters and one last character, or one character alone.
func behindSequence(rest string) string {
	if rest[0] != '[' && rest[0] != 'O' {
		return rest[1:]
	}
	for i := 1; i < len(rest); i++ {
		if c := rest[i]; c >= 0x40 && c <= 0x7e {
			return rest[i+1:]
		}
	}
	return ""
}

// size is how much the terminal shows now; of one that does not say, 80 columns of 24 lines.
func (s *screen) size() (width, height int) {
	width, height, err := term.GetSize(int(s.out.Fd()))
	if err != nil || width <= 0 || height <= 0 {
		return 80, 24
	}
	return width, height
}

// show shows a page in place of the one before: as many of the lines as there is room for,
// each cut.
func (s *screen) show(width, height int, lines []line) error {
	var b strings.Builder
	if width != s.width || height != s.height { // a terminal moves what it shows when it is resized
		s.width, s.height = width, height
		b.WriteString("\x1b[2J")
	}
	b.WriteString("\x1b[H")
	for i := range height {
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString("\x1b[K") // in front: behind a line as wide as the terminal it would erase the last character
		if i >= len(lines) {
			continue
		}
		text := cut(lines[i].text, width)
		if s.styled && lines[i].style != plain {
			text = string(lines[i].style) + text + string(normal)
		}
		b.WriteString(text)
	}
	if _, err := io.WriteString(s.out, b.String()); err != nil {
		return fmt.Errorf("the terminal takes no more: %w", err)
	}
	return nil
}
