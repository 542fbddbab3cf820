package identity

import (
	"crypto/tls"
	"slices"
)

// CertificateNames are those in the certificate that the peer of a connection has shown,
// if it has been verified: of DNS, URIs and the common name.
func CertificateNames(state *tls.ConnectionState) []string {
	if state == nil || len(state.VerifiedChains) == 0 {
		return nil
	}
	certificate := state.VerifiedChains[0][0]
	names := slices.Clone(certificate.DNSNames)
	for _, uri := range certificate.URIs {
		names = append(names, uri.String())
	}
	if name := certificate.Subject.CommonName; name != "" {
		names = append(names, name)
	}
	return names
}
