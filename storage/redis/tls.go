package redis

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
)

// TLS has the files for connections over TLS, in PEM. They are read for each
// connection, so they can be renewed in place.
type TLS struct {
	// CA is the path of the CA certificates to verify the servers with. Default: those
	// of the system.
	CA string

	// Certificate and Key are the paths of the client certificate and its key. Default:
	// none.
	Certificate, Key string
}

// check returns an error if a file cannot be used.
func (t TLS) check(secure bool) error {
	if t == (TLS{}) {
		return nil
	}
	if !secure {
		return errors.New("there are certificates for TLS, but the address is without TLS; use rediss:// or rediss+sentinel://")
	}
	_, err := t.config(new(tls.Config), "", nil)
	return err
}

// config returns the configuration for one connection.
func (t TLS) config(base *tls.Config, addr string, hosts []string) (*tls.Config, error) {
	c := base.Clone()
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("reading the CA of redis: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("reading the CA of redis: %s has no certificate in PEM", t.CA)
		}
	}
	if t.Certificate != "" || t.Key != "" {
		own, err := tls.LoadX509KeyPair(t.Certificate, t.Key)
		if err != nil {
			return nil, fmt.Errorf("reading the client certificate for redis: %w", err)
		}
		c.Certificates = []tls.Certificate{own}
	}
	names := namesOf(addr, hosts)
	if len(names) == 0 || c.InsecureSkipVerify {
		return c, nil
	}
	c.ServerName = names[0]
	if len(names) > 1 {
		if i := slices.IndexFunc(names, isName); i > 0 {
			c.ServerName = names[i] // an IP address is not sent as SNI, and a proxy may route by the name
		}
		c.InsecureSkipVerify = true // VerifyConnection replaces the verification that this turns off, and is stricter
		c.VerifyConnection = func(s tls.ConnectionState) error { return verify(s.PeerCertificates, c.RootCAs, names) }
	}
	return c, nil
}

// namesOf returns the names that are accepted in a certificate: that of the dialled
// address, and the hosts of the configured address. Clusters and Sentinels announce
// servers by IP addresses that the certificates often do not have.
func namesOf(addr string, hosts []string) (names []string) {
	for _, hostport := range append([]string{addr}, hosts...) {
		if host, _, err := net.SplitHostPort(hostport); err == nil && !slices.Contains(names, host) {
			names = append(names, host)
		}
	}
	return names
}

func isName(host string) bool { return net.ParseIP(host) == nil }

// verify verifies a chain of certificates like crypto/tls, but accepts any of names.
func verify(chain []*x509.Certificate, roots *x509.CertPool, names []string) error {
	o := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
	for _, c := range chain[1:] {
		o.Intermediates.AddCert(c)
	}
	if _, err := chain[0].Verify(o); err != nil {
		return err
	}
	var err error
	for _, name := range names {
		if err = chain[0].VerifyHostname(name); err == nil {
			return nil
		}
	}
	return err
}
