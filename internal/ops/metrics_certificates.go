package ops

import (
	"github.com/fanoutd/fanoutd/internal/certfile"
)

var certificateMetrics = []metric[[]certfile.Expiry]{
	labeled(Gauge, "fanoutd_tls_certificate_expiry_timestamp_seconds",
		"When the certificate that is shown to browsers, backends, WebTransport clients or nodes expires, in seconds since 1970: the one in use, or one of its file between it and the authority's that expires before it.",
		[]string{"shown_to"}, func(all []certfile.Expiry) []sample {
			samples := make([]sample, 0, len(all))
			for _, x := range all {
				samples = append(samples, sample{float64(x.At.Unix()), []string{x.Who}})
			}
			return samples
		}),
}
