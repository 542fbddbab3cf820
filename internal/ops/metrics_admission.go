package ops

import (
	"github.com/fanoutd/fanoutd/internal/admission"
	"github.com/fanoutd/fanoutd/internal/admission/hook"
	"github.com/fanoutd/fanoutd/internal/admission/token"
)

var admissionMetrics = []metric[admission.Stats]{
	outcomes("fanoutd_admissions_total",
		"Connections that asked to be let in, by outcome: admitted; refused, by somebody's decision; unavailable: there was none, in time or at all; left: the session ended before.",
		func(s admission.Stats) map[string]uint64 {
			return map[string]uint64{"admitted": s.Admitted, "refused": s.Refused, "unavailable": s.Unavailable, "left": s.Left}
		}),
}

var tokenMetrics = []metric[token.Stats]{
	outcomes("fanoutd_tokens_total", "Tokens of connecting browsers, by outcome: accepted, token missing, token expired, token invalid, or authorization unavailable: there were no keys to verify it with.",
		func(s token.Stats) map[string]uint64 {
			return map[string]uint64{
				"accepted": s.Accepted, string(token.Missing): s.Missing, string(token.Expired): s.Expired,
				string(token.Invalid): s.Invalid, string(token.Unavailable): s.Unavailable,
			}
		}),
	gauge("fanoutd_token_keys_ready", "1 once there were keys to verify tokens with: 0 while a JWK Set was never fetched.",
		func(s token.Stats) int { return oneIf(s.KeysReady) }),
}

var hookMetrics = []metric[hook.Stats]{
	outcomes("fanoutd_hook_decisions_total",
		"Connections that the hook was to decide on, by outcome: allowed; refused; failed: no valid answer in time; busy: hook-concurrency had no room in time; left: the session ended before.",
		func(s hook.Stats) map[string]uint64 {
			return map[string]uint64{"allowed": s.Allowed, "refused": s.Refused, "failed": s.Failed, "busy": s.Busy, "left": s.Left}
		}),
	gauge("fanoutd_hook_calls", "Calls of the hook in flight now.", func(s hook.Stats) int { return s.InFlight }),
}
