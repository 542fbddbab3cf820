package grpcserver

import (
	"crypto/tls"
	"net"

	"google.golang.org/grpc/credentials"

	"github.com/fanoutd/fanoutd/internal/control/connections"
)

// transportCredentials have a call's peer tell which connection the call came by. A
// connection over TLS they take as it is if who accepted it has done its handshake. Of each
// they bound the time for which a peer may take nothing, which gRPC does not find beneath another connection.
type transportCredentials struct {
	credentials.TransportCredentials
}

// authInfo is what the credentials say of a peer, and its connection.
type authInfo struct {
	credentials.AuthInfo
	connection *connections.Conn // nil: it is not bounded
}

// ServerHandshake implements credentials.TransportCredentials.
func (t transportCredentials) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	setUserTimeout(raw, keepaliveParams.Timeout)
	if c, ok := raw.(*tls.Conn); ok && c.ConnectionState().HandshakeComplete {
		return c, authInfo{credentials.TLSInfo{
			State:          c.ConnectionState(),
			CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity},
		}, connections.Of(raw)}, nil
	}
	c, info, err := t.TransportCredentials.ServerHandshake(raw)
	if err != nil {
		return nil, nil, err
	}
	return c, authInfo{info, connections.Of(raw)}, nil
}

// Clone implements credentials.TransportCredentials.
func (t transportCredentials) Clone() credentials.TransportCredentials {
	return transportCredentials{t.TransportCredentials.Clone()}
}
