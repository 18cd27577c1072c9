package storageengines

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/options"
	"github.com/caddy-sso/caddy-sso/caddymodule/internal/secrets"
	"github.com/caddy-sso/caddy-sso/internal/logthrottle"
	"github.com/caddy-sso/caddy-sso/storage"
	"github.com/caddy-sso/caddy-sso/storage/redis"
)

func init() {
	caddy.RegisterModule(new(Redis))
}

// Redis keeps everything in Redis or Valkey, so that several nodes share
// it: one server, a master and its replicas, with Sentinel or without, or a
// cluster.
type Redis struct {
	// The server: `redis://[user:password@]host:port[/db]`, or `rediss://` for
	// TLS; several hosts stand with commas between them. With Sentinel:
	// `redis+sentinel://[user:password@]host,host,host/master[/db]`, or
	// `rediss+sentinel://`. Placeholders are replaced. Required.
	URL string `json:"url,omitempty"`

	// What the signing keys are sealed with in the store, so that a stolen
	// store signs nothing: at least 32 characters, the same on every node.
	// Placeholders are replaced. Required.
	StorageKey string `json:"storage_key,omitempty"`

	// What every key in the store begins with. Two portals with different
	// prefixes can share a database; neither prefix may begin with the other.
	// Placeholders are replaced. Default: `sso:`.
	KeyPrefix string `json:"key_prefix,omitempty"`

	// The path of a PEM file of the certificates that the servers' own are
	// checked against; it is read at each connection. Placeholders are replaced.
	// Default: those of the system.
	TLSCA string `json:"tls_ca,omitempty"`

	// The path of a PEM file with the client certificate that servers ask for; it
	// is read at each connection. Placeholders are replaced. Default: none.
	TLSClientCertificate string `json:"tls_client_certificate,omitempty"`

	// The path of a PEM file with the key of the client certificate. Placeholders
	// are replaced.
	TLSClientKey string `json:"tls_client_key,omitempty"`

	// For how many replicas the end of a session or grant waits, so that a failover to
	// one of them does not bring it back. Default: it does not wait.
	RevokeWait *RevokeWait `json:"revoke_wait,omitempty"`

	url, key string
	wholeKey string // key as earlier releases read it, with a line end
	options  redis.Options
}

// RevokeWait says what the end of a session or grant waits for. After the time it
// counts as done, with a line in the log, at most once a minute.
type RevokeWait struct {
	// How many replicas have to have it. Required.
	Replicas int `json:"replicas,omitempty"`

	// The longest wait, 1ms to 10s. For one second after a wait without success, the next
	// waits last one millisecond. Required.
	Time caddy.Duration `json:"time,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*Redis) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sso.storage.redis", New: func() caddy.Module { return new(Redis) }}
}

// minStorageKey is 256 bits as hex or base64 is longer; a passphrase of this
// length is the least that is taken.
const minStorageKey = 32

// Provision checks the settings, without connecting.
func (s *Redis) Provision(caddy.Context) error {
	s.KeyPrefix = cmp.Or(s.KeyPrefix, redis.DefaultPrefix)
	for _, setting := range []struct {
		name, raw string
		to        *string
		read      func(string) (string, error)
	}{
		{"url", s.URL, &s.url, secrets.Read}, // which may have a password
		{"storage_key", s.StorageKey, &s.key, secrets.Read},
		{"storage_key", s.StorageKey, &s.wholeKey, secrets.Replace},
		{"key_prefix", s.KeyPrefix, &s.options.Prefix, secrets.Replace},
		{"tls_ca", s.TLSCA, &s.options.TLS.CA, secrets.Replace},
		{"tls_client_certificate", s.TLSClientCertificate, &s.options.TLS.Certificate, secrets.Replace},
		{"tls_client_key", s.TLSClientKey, &s.options.TLS.Key, secrets.Replace},
	} {
		var err error
		if *setting.to, err = setting.read(setting.raw); err != nil {
			return fmt.Errorf("%s: %w", setting.name, err)
		}
	}
	if s.url == "" {
		return errors.New("url is missing; expected for example redis://localhost:6379")
	}
	if s.RevokeWait != nil {
		s.options.Wait = s.RevokeWait.wait()
		if err := s.options.Wait.Check(); err != nil {
			return fmt.Errorf("revoke_wait: %w", err)
		}
	}
	if err := redis.Check(s.url, s.options); err != nil {
		return err
	}
	return checkStorageKey(s.key)
}

func (c RevokeWait) wait() redis.Wait {
	return redis.Wait{Replicas: c.Replicas, Time: time.Duration(c.Time)}
}

func checkStorageKey(key string) error {
	if len(key) < minStorageKey {
		return errors.New("storage_key is missing or shorter than 32 characters; make one with: openssl rand -base64 32")
	}
	return nil
}

// Identity implements caddymodule.Engine. It includes the settings of the connection,
// so that a change of these takes effect at a reload.
func (s *Redis) Identity() string {
	return fmt.Sprintf("redis %s %q %q %v", s.url, s.options.Prefix, s.options.TLS, s.options.Wait)
}

// Open implements caddymodule.Engine.
func (s *Redis) Open(log *zap.Logger, _ func() time.Time) (storage.Store, error) {
	o := s.options
	o.Logger = log.Named("redis")
	o.Unconfirmed = new(unconfirmedEndings).report
	return redis.Open(s.url, o)
}

// unconfirmedEndings are the endings that too few replicas confirmed.
type unconfirmedEndings struct{ lines logthrottle.Throttle }

// report logs an unconfirmed ending. The store outlives the configuration, so the
// configuration's log may be closed.
func (u *unconfirmedEndings) report(replicas int64, err error) {
	if n := u.lines.Due(time.Now()); n > 0 {
		caddy.Log().Named("sso").Warn("sessions and grants were ended, but too few replicas confirmed it within the time of revoke_wait; a failover may bring them back if all nodes stop together with the master",
			zap.Int("endings", n), zap.Int64("confirmed_by", replicas), zap.Error(err))
	}
}

// Shared implements caddymodule.Engine.
func (*Redis) Shared() bool { return true }

// SealingSecrets implements caddymodule.KeySealer.
func (s *Redis) SealingSecrets() [][]byte { return [][]byte{[]byte(s.key), []byte(s.wholeKey)} }

// UnmarshalCaddyfile sets up the engine from Caddyfile tokens. Syntax:
//
//	storage redis <url> {
//		storage_key     <key>
//		key_prefix      <prefix>
//		tls_ca          <file>
//		tls_client_auth <certificate> <key>
//		revoke_wait     <replicas> <time>
//	}
func (s *Redis) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	line := *d
	if err := options.ReplacedArg(d, &s.URL); err != nil {
		return d.Errf("redis: expected: storage redis <url>, for example redis://localhost:6379")
	}
	if err := redis.CheckAddress(s.URL); err != nil && !secrets.HasPlaceholder(s.URL) {
		return d.Errf("redis: %v", err)
	}
	if err := options.Block(d, map[string]func() error{
		"storage_key": func() error { return options.SecretArg(d, &s.StorageKey) },
		"key_prefix":  func() error { return options.ReplacedArg(d, &s.KeyPrefix) },
		"tls_ca":      func() error { return options.ReplacedArg(d, &s.TLSCA) },
		"tls_client_auth": func() error {
			args := d.RemainingArgs()
			if len(args) != 2 || s.TLSClientCertificate != "" {
				return d.Err("tls_client_auth: expected one line with two files: tls_client_auth <certificate> <key>")
			}
			s.TLSClientCertificate, s.TLSClientKey = args[0], args[1]
			return nil
		},
		"revoke_wait": func() error {
			if s.RevokeWait != nil {
				return d.Err("duplicate option: revoke_wait; keep one of the two")
			}
			s.RevokeWait = new(RevokeWait)
			return s.RevokeWait.unmarshal(d)
		},
	}); err != nil {
		return err
	}
	if err := checkStorageKey(s.StorageKey); err != nil && !secrets.HasPlaceholder(s.StorageKey) {
		return line.Errf("redis: %v", err)
	}
	return nil
}

// unmarshal reads revoke_wait <replicas> <time>.
func (c *RevokeWait) unmarshal(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 2 {
		return d.Err("revoke_wait: expected how many replicas, and the longest wait: revoke_wait 1 500ms")
	}
	replicas, err := strconv.Atoi(args[0])
	if err != nil {
		return d.Errf("revoke_wait: %q is not a number of replicas; expected for example 1", args[0])
	}
	longest, err := caddy.ParseDuration(args[1])
	if err != nil {
		return d.Errf("revoke_wait: %q is not a duration; expected for example 500ms or 1s", args[1])
	}
	c.Replicas, c.Time = replicas, caddy.Duration(longest)
	if err := c.wait().Check(); err != nil {
		return d.Errf("revoke_wait: %v", err)
	}
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner     = (*Redis)(nil)
	_ caddyfile.Unmarshaler = (*Redis)(nil)
)
