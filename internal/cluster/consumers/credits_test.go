package consumers

import "testing"

// What a holder was given and needs no more, since what waited was taken back, goes to
// another that is hungry: also if it has said itself that it is.
func TestIdleCredits(t *testing.T) {
	var c credits
	asked := 0
	raised := map[string]int{}
	remote := func(name string) *holder {
		return &holder{raise: func(int) { raised[name]++ }, ask: func(int) { asked++ }}
	}
	a, b := remote("a"), remote("b")
	inFlight := 0
	c.begin(1, 2, &holder{lower: func(int) int { return inFlight }})
	c.add(a)
	c.add(b)
	c.again()
	if c.local.limit != 1 || asked != 0 {
		t.Fatalf("at first local has %d, and %d were asked", c.local.limit, asked)
	}
	c.hungers(a) // which local has no need of
	c.hungers(a)
	c.hungers(b)
	c.gaveBack(a, 1) // it is in flight there
	if a.limit != 1 || b.limit != 0 || asked != 1 {
		t.Fatalf("one has %d, the other %d, and %d were asked", a.limit, b.limit, asked)
	}
	c.again()
	c.again() // until it has answered nobody is asked twice
	if asked != 2 {
		t.Fatalf("%d were asked, want 2", asked)
	}
	c.gaveBack(a, 0)
	if a.limit+b.limit != 1 {
		t.Fatalf("one has %d, the other %d", a.limit, b.limit)
	}
	for range 2 { // whoever has it does not need it
		c.again()
		for _, h := range []*holder{a, b} {
			if h.asked {
				c.gaveBack(h, 0)
			}
		}
	}
	if raised["a"] != 2 || raised["b"] != 1 || len(c.hungry) != 0 {
		t.Errorf("they were given something so often: %v; and %d are hungry", raised, len(c.hungry))
	}
}
