package consumers

// credits are what may be in flight to one consumer, handed out to those who hold
// deliveries for it. Their limits add up to no more than that. Subscription.mu guards
// them.
type credits struct {
	most    int
	free    int // handed out to nobody
	local   *holder
	holders []*holder
	hungry  []*holder // that could use more, first come first
}

// holder is who has deliveries for a consumer: this node's dispatcher, another node, or
// the list of a lost node's connections.
type holder struct {
	limit int
	asked bool // to give back what it does not need: until it has answered, its limit stays
	// raise tells it of its limit. lower, of one that can say so at once, sets a limit and
	// returns what is in flight.
	raise func(limit int)
	lower func(limit int) (inFlight int)
	ask   func(keep int) // asks it to give back what it does not need, down to keep if more waits
}

// begin hands out what there is: to everybody, if it can be shared.
func (c *credits) begin(most, others int, local *holder) {
	c.most, c.free, c.local = most, most, local
	c.holders = append(c.holders, local)
	share := most
	if most > others {
		share = most - others*(most/(others+1))
	}
	c.give(local, share)
}

// share is what each could have.
func (c *credits) share() int { return c.most / max(len(c.holders), 1) }

// add adds a holder, with its part of what is free.
func (c *credits) add(h *holder) {
	c.holders = append(c.holders, h)
	h.limit = min(c.free, c.share())
	c.free -= h.limit
}

// remove takes back all that a holder has.
func (c *credits) remove(h *holder) {
	for i, o := range c.holders {
		if o == h {
			c.holders = append(c.holders[:i:i], c.holders[i+1:]...)
			c.free += h.limit
			h.limit = 0
		}
	}
	c.satisfied(h)
	c.feed()
}

func (c *credits) satisfied(h *holder) {
	for i, o := range c.hungry {
		if o == h {
			c.hungry = append(c.hungry[:i:i], c.hungry[i+1:]...)
			return
		}
	}
}

// give raises a holder's limit.
func (c *credits) give(h *holder, n int) {
	c.free -= n
	h.limit += n
	if h.lower != nil {
		h.lower(h.limit)
	} else {
		h.raise(h.limit)
	}
}

// hungers notes that a holder could use more than it has.
func (c *credits) hungers(h *holder) {
	for _, o := range c.hungry {
		if o == h {
			return
		}
	}
	c.hungry = append(c.hungry, h)
	c.feed()
	if len(c.hungry) == 0 {
		return
	}
	for _, o := range c.holders { // somebody may have more than it needs
		if o == h || o.limit == 0 || o.asked {
			continue
		}
		if o.lower == nil {
			o.asked = true
			o.ask(c.share())
			continue
		}
		keep := 0
		if c.isHungry(o) {
			keep = min(c.share(), o.limit)
		}
		c.lowered(o, max(keep, o.lower(keep)))
	}
	c.feed()
}

// again asks everybody who has something to give back what it does not need, while somebody is
// hungry: what a holder asked for it may not need any more when it gets it, if what waited
// was taken back, or moved. It is to be called now and then.
func (c *credits) again() {
	if len(c.hungry) == 0 {
		return
	}
	for _, o := range c.holders {
		switch {
		case o.limit == 0 || o.asked:
		case o.lower == nil:
			o.asked = true
			o.ask(c.share())
		default:
			c.lowered(o, o.lower(0))
		}
	}
	c.feed()
}

func (c *credits) isHungry(h *holder) bool {
	for _, o := range c.hungry {
		if o == h {
			return true
		}
	}
	return false
}

// lowered notes that a holder keeps so much.
func (c *credits) lowered(h *holder, limit int) {
	limit = min(limit, h.limit)
	c.free += h.limit - limit
	h.limit = limit
	if h.lower != nil {
		h.lower(limit)
	}
}

// gaveBack notes what a holder that was asked keeps.
func (c *credits) gaveBack(h *holder, limit int) {
	h.asked = false
	c.lowered(h, limit)
	c.feed()
}

// feed hands out what is free to those who are hungry, in turn.
func (c *credits) feed() {
	for i := 0; c.free > 0 && i < len(c.hungry); {
		h := c.hungry[i]
		if h.asked {
			i++
			continue
		}
		c.hungry = append(c.hungry[:i:i], c.hungry[i+1:]...)
		c.give(h, max(1, c.free/2))
	}
}

// settled notes that a delivery of a holder was settled. If others are hungry, and it has
// its share, it loses what that took: at once, or, if it cannot say at once what is in
// flight, it is asked, which is left to the caller: with the settlement.
func (c *credits) settled(h *holder) (ask bool) {
	if len(c.hungry) == 0 || h.asked || h.limit == 0 || h.limit <= c.share() && c.share() > 0 && !c.starving() {
		return false
	}
	if h.lower == nil {
		h.asked = true
		return true
	}
	if inFlight := h.lower(h.limit - 1); inFlight > h.limit-1 {
		h.lower(h.limit) // it has taken another meanwhile
		return false
	}
	h.limit--
	c.free++
	c.feed()
	return false
}

// starving reports whether somebody is hungry who has nothing at all.
func (c *credits) starving() bool {
	for _, h := range c.hungry {
		if h.limit == 0 {
			return true
		}
	}
	return false
}
