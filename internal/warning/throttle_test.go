package warning

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func TestThrottle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var throttle Throttle
		var told []string
		for second := range 26 {
			if n, ok := throttle.Event(); ok {
				told = append(told, fmt.Sprint(n, " after ", second, " s"))
			}
			time.Sleep(time.Second)
		}
		time.Sleep(time.Hour)
		if n, ok := throttle.Event(); ok {
			told = append(told, fmt.Sprint(n, " later"))
		}
		if got, want := fmt.Sprint(told), "[1 after 0 s 10 after 10 s 10 after 20 s 6 later]"; got != want {
			t.Errorf("told %s, want %s", got, want)
		}
	})
}
