package engineio

import (
	"math/rand/v2"
	"time"
)

// ageJitter is by which part of [Options.MaxConnectionAge] a session may get older, or
// less old, so that sessions that were opened together do not end together. gRPC's
// servers use the same (keepalive.ServerParameters, MaxConnectionAge).
const ageJitter = 0.1

// startAgeLocked begins the time that the session may be open for.
func (s *Session) startAgeLocked() {
	if age := s.srv.opts.MaxConnectionAge; age > 0 {
		spread := float64(age) * ageJitter * (2*rand.Float64() - 1)
		s.age = time.AfterFunc(age+time.Duration(spread), func() { s.Close(ReasonMaxAge) })
	}
}

func (s *Session) stopAgeLocked() {
	if s.age != nil {
		s.age.Stop()
	}
}
