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

// TLS is what connections over TLS need beyond the system's own. The files hold
// PEM, and are read at each connection, so that they can be renewed in place.
type TLS struct {
	// CA is the path of the certificates that servers' own are checked
	// against. Default: those of the system.
	CA string

	// Certificate and Key are the paths of what servers know us by. Default:
	// none.
	Certificate, Key string
}

// check says what is wrong with the files.
func (t TLS) check(secure bool) error {
	if t == (TLS{}) {
		return nil
	}
	if !secure {
		return errors.New("there are certificates for TLS, but the address is not that of TLS; it begins with rediss:// or rediss+sentinel://")
	}
	_, err := t.config(new(tls.Config), "", nil)
	return err
}

// config completes the configuration for one connection.
func (t TLS) config(base *tls.Config, addr string, hosts []string) (*tls.Config, error) {
	c := base.Clone()
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("reading the CA of redis: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("reading the CA of redis: %s holds no certificate in PEM", t.CA)
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
			c.ServerName = names[i] // an IP address is not sent, and somebody may route by what is
		}
		c.InsecureSkipVerify = true // VerifyConnection does more than what that leaves out
		c.VerifyConnection = func(s tls.ConnectionState) error { return verify(s.PeerCertificates, c.RootCAs, names) }
	}
	return c, nil
}

// namesOf are the names of which a certificate has to have one: of what is
// dialled, and of the hosts of the address. Clusters and Sentinels name servers
// by addresses that their certificates often do not have.
func namesOf(addr string, hosts []string) (names []string) {
	for _, hostport := range append([]string{addr}, hosts...) {
		if host, _, err := net.SplitHostPort(hostport); err == nil && !slices.Contains(names, host) {
			names = append(names, host)
		}
	}
	return names
}

func isName(host string) bool { return net.ParseIP(host) == nil }

// verify checks a chain of certificates as crypto/tls does, for any of names.
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
