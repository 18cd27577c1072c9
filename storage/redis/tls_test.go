package redis_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/redistest"
	"github.com/caddy-sso/caddy-sso/storage"
	"github.com/caddy-sso/caddy-sso/storage/redis"
)

func TestTLSIsUsedAndTheCertificateVerified(t *testing.T) {
	t.Parallel()
	cert, key := selfSigned(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	redistest.Start(t, "--tls-port", addr[strings.LastIndexByte(addr, ':')+1:],
		"--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", cert, "--tls-auth-clients", "no")

	trusting := open(t, "rediss://"+addr+"?skip_verify", redis.Options{Timeout: 10 * time.Second})
	if err := trusting.Put(t.Context(), "a", []byte("1"), time.Hour); err != nil {
		t.Errorf("over TLS: %v", err)
	}
	strict := open(t, "rediss://"+addr, redis.Options{Timeout: 10 * time.Second})
	err = strict.Put(t.Context(), "a", []byte("1"), time.Hour)
	if !errors.Is(err, storage.ErrUnavailable) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("with a certificate of an unknown CA: %v", err)
	}
}

// tlsServer starts a server with TLS next to its plain port. It requires client
// certificates that ca has signed.
func tlsServer(t *testing.T, ca *authority, names ...string) (server *redistest.Server, addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr = l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	cert, key := ca.issue(t, names...)
	return redistest.Start(t, "--tls-port", addr[strings.LastIndexByte(addr, ':')+1:],
		"--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", ca.path, "--tls-auth-clients", "yes"), addr
}

func TestServersAndNodesVerifyEachOtherWithAPrivateCA(t *testing.T) {
	t.Parallel()
	ca, other := newAuthority(t), newAuthority(t)
	server, addr := tlsServer(t, ca, "127.0.0.1")
	cert, key := ca.issue(t)
	strangeCert, strangeKey := other.issue(t)
	for name, c := range map[string]struct {
		tls   redis.TLS
		fails bool
	}{
		"with both":                         {redis.TLS{CA: ca.path, Certificate: cert, Key: key}, false},
		"without the CA":                    {redis.TLS{Certificate: cert, Key: key}, true},
		"with another CA":                   {redis.TLS{CA: other.path, Certificate: cert, Key: key}, true},
		"without a client certificate":      {redis.TLS{CA: ca.path}, true},
		"with another user's certificate":   {redis.TLS{CA: ca.path, Certificate: strangeCert, Key: strangeKey}, true},
		"with both and a CA that was added": {redis.TLS{CA: joined(t, other.path, ca.path), Certificate: cert, Key: key}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, "rediss://"+addr, redis.Options{Timeout: 2 * time.Second, TLS: c.tls})
			if !c.fails {
				eventually(t, "it works", func() bool { return works(t, s) })
				return
			}
			if err := s.Put(t.Context(), "a", []byte("1"), time.Hour); !errors.Is(err, storage.ErrUnavailable) {
				t.Error(err)
			}
		})
	}

	// A file that is renewed in place is used for the next connection.
	renewed := redis.TLS{CA: joined(t, ca.path), Certificate: joined(t, cert), Key: joined(t, key)}
	s := open(t, "rediss://"+addr, redis.Options{TLS: renewed})
	eventually(t, "it works", func() bool { return works(t, s) })
	copyTo(t, renewed.Certificate, strangeCert)
	copyTo(t, renewed.Key, strangeKey)
	server.KillConnections()
	wantUnavailable(t, s)
	copyTo(t, renewed.Certificate, cert)
	copyTo(t, renewed.Key, key)
	eventually(t, "it works again", func() bool { return works(t, s) })
}

// Each of several hosts has its own certificate, or that of another host.
func TestACertificateHasTheNameOfOneOfTheHosts(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	cert, key := ca.issue(t)
	for name, c := range map[string]struct {
		certificate []string
		hosts       func(port string) string
		fails       bool
	}{
		"the dialled one":          {[]string{"127.0.0.1"}, func(port string) string { return "127.0.0.1:" + port }, false},
		"by name":                  {[]string{"localhost"}, func(port string) string { return "localhost:" + port }, false},
		"not a strange one":        {[]string{"redis.example"}, func(port string) string { return "127.0.0.1:" + port }, true},
		"another one of the hosts": {[]string{"redis.example"}, func(port string) string { return "127.0.0.1:" + port + ",redis.example:1" }, false},
		"none of the hosts":        {[]string{"redis.example"}, func(port string) string { return "127.0.0.1:" + port + ",127.0.0.2:1" }, true},
		"its own of several":       {[]string{"127.0.0.1"}, func(port string) string { return "redis.invalid:1,127.0.0.1:" + port }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, addr := tlsServer(t, ca, c.certificate...)
			s := open(t, "rediss://"+c.hosts(addr[strings.LastIndexByte(addr, ':')+1:]),
				redis.Options{Timeout: 2 * time.Second, TLS: redis.TLS{CA: ca.path, Certificate: cert, Key: key}})
			if !c.fails {
				eventually(t, "it works", func() bool { return works(t, s) })
				return
			}
			err := s.Put(t.Context(), "a", []byte("1"), time.Hour)
			if !errors.Is(err, storage.ErrUnavailable) || !strings.Contains(err.Error(), "certificate") && !strings.Contains(err.Error(), "not connected yet") {
				t.Error(err)
			}
		})
	}
}

func TestCertificatesThatCannotBeUsedAreRefused(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	cert, key := ca.issue(t)
	for name, c := range map[string]struct {
		address string
		tls     redis.TLS
		want    string
	}{
		"without TLS":                {"redis://h", redis.TLS{CA: ca.path}, "rediss://"},
		"a CA that does not exist":   {"rediss://h", redis.TLS{CA: "/nowhere"}, "/nowhere"},
		"a CA that is none":          {"rediss://h", redis.TLS{CA: key}, "no certificate"},
		"a certificate without key":  {"rediss://h", redis.TLS{Certificate: cert}, "client certificate"},
		"the key of another one":     {"rediss://h", redis.TLS{Certificate: ca.path, Key: key}, "client certificate"},
		"with Sentinel, without TLS": {"redis+sentinel://h/m", redis.TLS{CA: ca.path}, "rediss+sentinel://"},
	} {
		if err := redis.Check(c.address, redis.Options{TLS: c.tls}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSentinelsAreUsedOverTLS(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	cert, key := ca.issue(t, "127.0.0.1")
	secure := []string{
		"--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", ca.path, "--tls-replication", "yes",
	}
	first, second := redistest.Start(t, secure...), redistest.Start(t, secure...)
	second.Follow(first)
	sentinels := redistest.StartSentinels(t, first, 1, secure...)
	s := open(t, sentinels.URL(), redis.Options{TLS: redis.TLS{CA: ca.path, Certificate: cert, Key: key}})
	eventually(t, "it works", func() bool { return works(t, s) })
	sentinels.Failover(t)
	eventually(t, "the new master has what is written", func() bool {
		return isMaster(second) && s.Put(t.Context(), "b", []byte("1"), time.Hour) == nil && size(t, second) > 0
	})
}

// joined creates a file with the content of other files.
func joined(t *testing.T, paths ...string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "joined.pem")
	copyTo(t, to, paths...)
	return to
}

func copyTo(t *testing.T, to string, paths ...string) {
	t.Helper()
	var all []byte
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, text...)
	}
	if err := os.WriteFile(to, all, 0o600); err != nil {
		t.Fatal(err)
	}
}

// An authority signs certificates. Its own certificate is at path.
type authority struct {
	path string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	ca := &authority{}
	ca.path, _, ca.cert, ca.key = certificate(t, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil)
	return ca
}

// issue writes a certificate for names and addresses, and its key.
func (ca *authority) issue(t *testing.T, names ...string) (cert, key string) {
	t.Helper()
	template := &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	cert, key, _, _ = certificate(t, template, ca)
	return cert, key
}

// selfSigned writes a certificate for 127.0.0.1 and its key, and returns
// their paths.
func selfSigned(t *testing.T) (cert, key string) {
	t.Helper()
	cert, key, _, _ = certificate(t, &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}, nil)
	return cert, key
}

// certificate writes a certificate and its key. by signs it, or it is self-signed if by
// is nil.
func certificate(t *testing.T, template *x509.Certificate, by *authority) (certPath, keyPath string, cert *x509.Certificate, private *ecdsa.PrivateKey) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template.Subject.CommonName = template.SerialNumber.String()
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := template, private
	if by != nil {
		parent, signer = by.cert, by.key
	}
	certDER, err := x509.CreateCertificate(rand.Reader, template, parent, private.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	if cert, err = x509.ParseCertificate(certDER); err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certPath, keyPath = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{
		certPath: {Type: "CERTIFICATE", Bytes: certDER},
		keyPath:  {Type: "PRIVATE KEY", Bytes: keyDER},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certPath, keyPath, cert, private
}
