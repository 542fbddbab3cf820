package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/webtransport-go"
)

// certificateFiles writes a certificate for 127.0.0.1 and its key, and returns
// who trusts it.
func certificateFiles(t *testing.T) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	pool = x509.NewCertPool()
	pool.AddCert(parsed)
	cert = writeFile(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	key = writeFile(t, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})))
	return cert, key, pool
}

// A client joins a namespace over WebTransport, and a shutdown ends it.
func TestWebTransport(t *testing.T) {
	cert, key, pool := certificateFiles(t)
	d := start(t, "--webtransport-listen=127.0.0.1:0", "--webtransport-cert-file="+cert, "--webtransport-key-file="+key)
	address := d.at["webtransport"]
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	dialer := webtransport.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool},
		QUICConfig:      &quic.Config{EnableDatagrams: true, EnableStreamResetPartialDelivery: true},
	}
	defer dialer.Close()
	_, session, err := dialer.Dial(ctx, "https://"+address+"/socket.io/?EIO=4&transport=webtransport", nil)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := session.OpenStreamSync(ctx)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(stream, "\x010"+"\x0240")
	r := bufio.NewReader(stream)
	r.ReadBytes('}') // the open packet
	if joined, err := r.ReadString('}'); err != nil || !strings.Contains(joined, `40{"sid":"`) {
		t.Errorf("CONNECT was answered by %q, %v", joined, err)
	}
	d.stop()
	if code := d.wait(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
