package cli

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
)

// The environment variables that say how a daemon is reached: those that the packages for
// backends read. The key's two are settings of the daemon too.
const (
	variableAddress  = "FANOUTD_ADDRESS"
	variableKey      = "FANOUTD_CONTROL_KEY"
	variableKeyFile  = "FANOUTD_CONTROL_KEY_FILE"
	variableCA       = "FANOUTD_CONTROL_CA_FILE"
	variableCert     = "FANOUTD_CONTROL_CLIENT_CERT_FILE"
	variableCertsKey = "FANOUTD_CONTROL_CLIENT_KEY_FILE"
)

// Variables are the environment variables that commands read and that are no settings of
// the daemon.
func Variables() []string {
	return []string{variableAddress, variableCA, variableCert, variableCertsKey}
}

// maxAnswer is the largest message that is taken from the daemon, in bytes: room for an event
// of one whose max-payload is the 256 MiB that it may be at most, escaped.
const maxAnswer = 512 << 20

// connectFlags say how the daemon is reached.
type connectFlags struct {
	address    string
	keyFile    string
	tls        bool
	caFile     string
	certFile   string
	certsKey   string
	serverName string
	timeout    time.Duration

	environ map[string]string
	key     string // once connected; empty: none
}

func (f *connectFlags) add(a *app, flags *pflag.FlagSet) {
	f.environ = a.environ
	or := func(variable, initial string) string {
		if value := a.environ[variable]; value != "" {
			return value
		}
		return initial
	}
	text := func(p *string, name, initial, usage string) {
		flags.StringVar(p, name, initial, usage)
		flags.Lookup(name).DefValue = "" // what is in the environment now is nothing for the help
	}
	text(&f.address, "address", or(variableAddress, "localhost:8081"), "the daemon's control-listen, `HOST:PORT` or unix:/PATH; of several nodes with commas the first that answers (default $"+variableAddress+", or localhost:8081)")
	text(&f.keyFile, "key-file", "", "the `FILE` whose first line is the key (default $"+variableKey+", or the file $"+variableKeyFile+")")
	flags.BoolVar(&f.tls, "tls", false, "speak TLS, and believe certificates that this machine believes")
	text(&f.caFile, "tls-ca-file", or(variableCA, ""), "speak TLS, and believe the authorities in this `FILE` alone (default $"+variableCA+")")
	text(&f.certFile, "tls-cert-file", or(variableCert, ""), "the `FILE` with the certificate to show the daemon (default $"+variableCert+")")
	text(&f.certsKey, "tls-key-file", or(variableCertsKey, ""), "the `FILE` with its private key (default $"+variableCertsKey+")")
	text(&f.serverName, "tls-server-name", "", "the `NAME` that the daemon's certificate has to have (default the host of the address)")
	flags.DurationVar(&f.timeout, "timeout", 10*time.Second, "how `LONG` an answer may take")
}

// at is where the daemon is, for sentences.
func (f *connectFlags) at() string { return clean(f.address) }

func (f *connectFlags) encrypted() bool { return f.tls || f.caFile != "" || f.certFile != "" }

// dial returns a connection that connects when it is used.
func (f *connectFlags) dial() (*grpc.ClientConn, error) {
	if f.timeout <= 0 {
		return nil, usagef("--timeout %s: it has to be longer than nothing", f.timeout)
	}
	var err error
	if f.key, err = f.readKey(); err != nil {
		return nil, err
	}
	transport := insecure.NewCredentials()
	if f.encrypted() {
		config, err := f.tlsConfig()
		if err != nil {
			return nil, err
		}
		transport = credentials.NewTLS(config)
	}
	target, options, err := f.resolve()
	if err != nil {
		return nil, err
	}
	options = append(options,
		grpc.WithTransportCredentials(transport),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 20 * time.Second, Timeout: 10 * time.Second}), // tail hears of a daemon that is gone
		grpc.WithUserAgent("fanoutd-cli"),
		grpc.WithDisableServiceConfig(),
	)
	if f.key != "" {
		options = append(options, grpc.WithPerRPCCredentials(bearer(f.key)))
	}
	conn, err := grpc.NewClient(target, options...)
	if err != nil {
		return nil, usagef("--address %s: %v", f.at(), err)
	}
	return conn, nil
}

// resolve returns what gRPC is to connect to. Several addresses are tried one after the
// other, which is what gRPC does with those of one name.
func (f *connectFlags) resolve() (string, []grpc.DialOption, error) {
	var all []resolver.Address
	for _, address := range strings.Split(f.address, ",") {
		address = strings.TrimSpace(address)
		if strings.HasPrefix(address, "unix:") {
			all = append(all, resolver.Address{Addr: address})
			continue
		}
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return "", nil, usagef("--address %s: write HOST:PORT, or unix:/PATH", clean(address))
		}
		all = append(all, resolver.Address{Addr: address, ServerName: host})
	}
	if len(all) == 1 {
		if path, ok := strings.CutPrefix(all[0].Addr, "unix:"); ok {
			return "unix:" + path, nil, nil
		}
		return "dns:///" + all[0].Addr, nil, nil
	}
	several := manual.NewBuilderWithScheme("several")
	several.InitialState(resolver.State{Addresses: all})
	return "several:///nodes", []grpc.DialOption{
		grpc.WithResolvers(several),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			if path, ok := strings.CutPrefix(address, "unix:"); ok {
				return new(net.Dialer).DialContext(ctx, "unix", path)
			}
			return new(net.Dialer).DialContext(ctx, "tcp", address)
		}),
	}, nil
}

func (f *connectFlags) tlsConfig() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: f.serverName}
	if f.caFile != "" {
		text, err := readFile(f.caFile)
		if err != nil {
			return nil, usagef("--tls-ca-file: %v", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, usagef("--tls-ca-file %s: there is no certificate in it", f.caFile)
		}
	}
	if (f.certFile == "") != (f.certsKey == "") {
		return nil, usagef("--tls-cert-file and --tls-key-file go together")
	}
	if f.certFile != "" {
		pair, err := f.readPair()
		if err != nil {
			return nil, usagef("--tls-cert-file %s with --tls-key-file %s: %v", f.certFile, f.certsKey, err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

func (f *connectFlags) readPair() (tls.Certificate, error) {
	cert, err := readFile(f.certFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := readFile(f.certsKey)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(cert, key)
}

// readFile reads a file as the daemon reads its own: without a byte order mark.
func readFile(name string) ([]byte, error) {
	text, err := os.ReadFile(name)
	return bytes.TrimPrefix(text, []byte("\ufeff")), err
}

// readKey returns the key, or nothing if there is none: of the flag's file, of the
// variable, or of the file that the other variable names.
func (f *connectFlags) readKey() (string, error) {
	file, source := f.keyFile, "--key-file"
	if file == "" {
		key, _, _ := strings.Cut(f.environ[variableKey], ",") // the daemon takes two
		if key = strings.TrimSpace(key); key != "" {
			return checkKey(key, variableKey)
		}
		if file, source = f.environ[variableKeyFile], variableKeyFile; file == "" {
			return "", nil
		}
	}
	text, err := readFile(file)
	if err != nil {
		return "", usagef("%s: %v", source, err)
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		if key := strings.TrimSpace(lines.Text()); key != "" {
			return checkKey(key, source)
		}
	}
	return "", usagef("%s: there is no key in %s", source, file)
}

// checkKey refuses what cannot be sent in a header, without showing it.
func checkKey(key, source string) (string, error) {
	for _, c := range []byte(key) {
		if c <= ' ' || c > '~' {
			return "", usagef("%s: what is there is no key: it has blanks or characters beyond ASCII", source)
		}
	}
	return key, nil
}

// bearer is a key as gRPC sends it with each call.
type bearer string

var _ credentials.PerRPCCredentials = bearer("")

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

// RequireTransportSecurity is false: loopback and unix sockets need none.
func (b bearer) RequireTransportSecurity() bool { return false }

var _ fmt.Stringer = bearer("")

// String shows nothing of it.
func (b bearer) String() string { return "bearer" }
