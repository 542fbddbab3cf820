package dispatch

// A consumer that ends may have been brought down by any of the events in flight to it:
// all of them are suspects until they are settled. They come again a quarter as many at a
// time as before, and again a quarter of that if another consumer ends with them, so that
// few consumers end until an event that brings them down is in flight as the only suspect:
// from then on it is struck. What only stood beside it is settled meanwhile, and is held up
// no longer than its fellows take.

// suspicion says how few suspects an event may be in flight among. 0: it is no suspect.
type suspicion uint8

// maxSuspicion is that of the events of a consumer that had 65,536 in flight or more.
const maxSuspicion suspicion = 8

// company is how many suspects, itself among them, may be in flight to a consumer beside
// one: 1, 4, 16 and so on.
func (s suspicion) company() int { return 1 << (2 * (s - 1)) }

// suspicionAmong is that of an event that was in flight among n when its consumer ended.
func suspicionAmong(n int) suspicion {
	s := suspicion(1)
	for s < maxSuspicion && (s+1).company() <= n/4 {
		s++
	}
	return s
}

// suspects are those queues of a subscription whose next event is a suspect, by its
// suspicion, in the order in which they have their turn; those whose event has been struck
// are apart. The zero value is empty.
type suspects struct {
	struck   turns // more likely to be the culprit: last
	waiting  [maxSuspicion + 1]turns
	inFlight [maxSuspicion + 1]int // suspects that are, by suspicion
}

// turnLocked returns in which turns a queue with this event next stands.
func (s *suspects) turnLocked(it *item) *turns {
	if it.strikes > 0 && it.suspect == 1 {
		return &s.struck
	}
	return &s.waiting[it.suspect]
}

// readyLocked returns all the turns of queues that are ready.
func (s *Subscription) readyLocked() (all []*turns) {
	all = []*turns{&s.turns, &s.suspects.struck}
	for i := range s.suspects.waiting {
		all = append(all, &s.suspects.waiting[i])
	}
	return all
}

// nextLocked returns the queue whose suspect may be delivered now, nil if none may be.
// Those with the largest company go first: they are the least likely culprits.
func (s *suspects) nextLocked() *queue {
	first, most := s.firstLocked()
	if first == nil {
		return nil
	}
	inFlight := 0
	for i := suspicion(1); i <= maxSuspicion; i++ {
		if n := s.inFlight[i]; n > 0 {
			most = min(most, i)
			inFlight += n
		}
	}
	if inFlight >= most.company() {
		return nil
	}
	return first
}

// firstLocked returns the queue whose suspect is to be delivered next, and its suspicion.
func (s *suspects) firstLocked() (*queue, suspicion) {
	for i := maxSuspicion; i >= 1; i-- {
		if q := s.waiting[i].first; q != nil {
			return q, i
		}
	}
	return s.struck.first, 1
}

// countLocked returns how many are in flight.
func (s *suspects) countLocked() (n int) {
	for _, of := range s.inFlight[1:] {
		n += of
	}
	return n
}

// suspectLocked makes suspects of the first n items, which were in flight to an owner that
// has ended with so many in flight, some of them suspects, and strikes the only one of
// either.
func (q *queue) suspectLocked(n, inFlight, suspects int) {
	for i := range q.items[:n] {
		it := &q.items[i]
		if it.event.Kind == Connecting { // which has a time limit
			continue
		}
		beside := inFlight
		if it.suspect > 0 {
			beside = suspects
		}
		if beside == 1 {
			it.strike(Crashed)
		}
		it.suspect = suspicionAmong(beside)
	}
}
