package web

import (
	"strconv"
	"strings"
)

// codings are the compressed forms that build.mjs writes, the smaller first:
// that is the order of choice among those a client likes equally well.
var codings = []struct{ name, suffix string }{
	{"br", ".br"},
	{"gzip", ".gz"},
}

// negotiate picks a content coding by an Accept-Encoding header (RFC 9110,
// 12.5.3): the one of highest quality that has says exists. Empty means the
// file as it is, also for a client that refuses that: answering beats a 406.
func negotiate(header []string, has func(coding string) bool) string {
	quality := parseQualities(strings.Join(header, ","))
	best, bestQ := "", 0.0
	if q, ok := quality["identity"]; ok {
		bestQ = q // asked for by name, so it competes
	}
	for _, c := range codings {
		q, ok := quality[c.name]
		if !ok {
			q = quality["*"]
		}
		if q > 0 && (q > bestQ || q == bestQ && best == "") && has(c.name) {
			best, bestQ = c.name, q
		}
	}
	return best
}

// parseQualities reads "gzip;q=0.5, br" into a weight for each name. What is
// malformed counts as not acceptable.
func parseQualities(header string) map[string]float64 {
	quality := make(map[string]float64)
	for item := range strings.SplitSeq(header, ",") {
		name, params, _ := strings.Cut(item, ";")
		name = strings.ToLower(strings.TrimSpace(name))
		if name == "" {
			continue
		}
		if name == "x-gzip" {
			name = "gzip" // RFC 9110, 8.4.1.3
		}
		quality[name] = parseWeight(params)
	}
	return quality
}

// parseWeight reads the "q=0.5" of one item; without it the weight is 1.
func parseWeight(params string) float64 {
	key, value, ok := strings.Cut(strings.TrimSpace(params), "=")
	if strings.TrimSpace(key) == "" {
		return 1
	}
	q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	if !ok || err != nil || !strings.EqualFold(strings.TrimSpace(key), "q") || !(q >= 0 && q <= 1) {
		return 0
	}
	return q
}
