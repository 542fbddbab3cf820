package ops

import (
	"github.com/fanoutd/fanoutd/internal/admission"
	"github.com/fanoutd/fanoutd/internal/admission/hook"
	"github.com/fanoutd/fanoutd/internal/admission/token"
)

var admissionMetrics = []metric[admission.Stats]{
	outcomes("fanoutd_admissions_total",
		"Connections that asked to be let in, by outcome: refused is somebody's decision; unavailable is none, in time or at all; left is a session that ended before.",
		func(s admission.Stats) map[string]uint64 {
			return map[string]uint64{"admitted": s.Admitted, "refused": s.Refused, "unavailable": s.Unavailable, "left": s.Left}
		}),
}

var tokenMetrics = []metric[token.Stats]{
	outcomes("fanoutd_tokens_total", "Tokens of connecting browsers, by what became of them.",
		func(s token.Stats) map[string]uint64 {
			return map[string]uint64{
				"accepted": s.Accepted, string(token.Missing): s.Missing, string(token.Expired): s.Expired,
				string(token.Invalid): s.Invalid, string(token.Unavailable): s.Unavailable,
			}
		}),
	gauge("fanoutd_token_keys_ready", "1 once there were keys to verify tokens with: 0 while a JWK Set was never fetched.",
		func(s token.Stats) int {
			if s.KeysReady {
				return 1
			}
			return 0
		}),
}

var hookMetrics = []metric[hook.Stats]{
	outcomes("fanoutd_hook_decisions_total",
		"Connections that the hook was to decide on, by outcome: allowed and refused are its own.",
		func(s hook.Stats) map[string]uint64 {
			return map[string]uint64{"allowed": s.Allowed, "refused": s.Refused, "failed": s.Failed, "busy": s.Busy, "left": s.Left}
		}),
	gauge("fanoutd_hook_calls", "Calls of the hook in flight.", func(s hook.Stats) int { return s.InFlight }),
}
