package engineio

import "sync"

// starter starts goroutines for callers that hold locks.
type starter struct {
	ended sync.WaitGroup

	mu    sync.Mutex
	work  sync.Cond // tasks is not empty, or over
	tasks []func()
	over  bool // nothing will be started any more
}

func newStarter() *starter {
	s := &starter{}
	s.work.L = &s.mu
	s.ended.Go(s.run)
	return s
}

// start runs f in a goroutine of its own, soon.
func (s *starter) start(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tasks = append(s.tasks, f)
	s.work.Signal()
}

// stop ends the starter, when nothing is to be started any more, and waits for it.
func (s *starter) stop() {
	s.mu.Lock()
	s.over = true
	s.work.Signal()
	s.mu.Unlock()
	s.ended.Wait()
}

func (s *starter) run() {
	for {
		s.mu.Lock()
		for len(s.tasks) == 0 && !s.over {
			s.work.Wait()
		}
		tasks := s.tasks
		s.tasks = nil
		s.mu.Unlock()
		if len(tasks) == 0 {
			return
		}
		for _, f := range tasks {
			go f() // counted by Server.running, see Server.start
		}
	}
}
