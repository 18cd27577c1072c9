package caddymodule

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-sso/caddy-sso/codes"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/page"
	"github.com/caddy-sso/caddy-sso/internal/portal"
	"github.com/caddy-sso/caddy-sso/internal/records"
	"github.com/caddy-sso/caddy-sso/session"
)

// SessionConfig bounds the lifetime and the number of SSO sessions.
type SessionConfig struct {
	// How long a session lasts without a request. Default: `24h`.
	Idle caddy.Duration `json:"idle,omitempty"`

	// How long a session lasts at most. Default: `30d`.
	Lifetime caddy.Duration `json:"lifetime,omitempty"`

	// How long this server accepts the sessions that it knows while the store does not
	// answer. Default: `5m`.
	OutageGrace caddy.Duration `json:"outage_grace,omitempty"`

	// How many sessions are kept in memory. Others are read from the store when they are
	// used. A change takes effect at a restart. Default: 250000.
	Cache int `json:"cache,omitempty"`

	// How many sessions a user may have. When another one begins, the oldest one ends,
	// with its tokens. A user may sign in 256 times in an hour, or four times this
	// number if that is more. At most 10000. Default: 64.
	PerUser int `json:"per_user,omitempty"`

	// The SameSite attribute of the session cookie: `lax` (default), or `none`
	// for scripts that call the Login API from another site. `none` takes an
	// https issuer; the endpoints for scripts then answer registered origins
	// only.
	SameSite string `json:"same_site,omitempty"`
}

const (
	sameSiteLax  = "lax"
	sameSiteNone = "none"
)

func (s *SessionConfig) setDefaults() {
	s.Idle = cmp.Or(s.Idle, caddy.Duration(session.DefaultIdle))
	s.Lifetime = cmp.Or(s.Lifetime, caddy.Duration(session.DefaultLifetime))
	s.OutageGrace = cmp.Or(s.OutageGrace, caddy.Duration(session.DefaultOutageGrace))
	s.PerUser = cmp.Or(s.PerUser, session.DefaultPerUser)
	s.SameSite = cmp.Or(s.SameSite, sameSiteLax)
}

func (s *SessionConfig) validate() error {
	if s.Idle < caddy.Duration(time.Minute) || s.Lifetime < s.Idle {
		return fmt.Errorf("session: idle is %v and lifetime %v; expected idle to be at least 1m, and no longer than lifetime", time.Duration(s.Idle), time.Duration(s.Lifetime))
	}
	if s.OutageGrace < 0 || s.Cache < 0 {
		return errors.New("session: outage_grace and cache cannot be negative; leave them out for the defaults")
	}
	if s.PerUser < 1 || s.PerUser > session.MostPerUser {
		return fmt.Errorf("session: per_user is %d; expected 1 to %d", s.PerUser, session.MostPerUser)
	}
	if s.SameSite != sameSiteLax && s.SameSite != sameSiteNone {
		return fmt.Errorf("session: same_site %q is unknown; expected lax or none", s.SameSite)
	}
	return nil
}

// validateCookie checks what browsers require of the session cookie.
func (s *SessionConfig) validateCookie(issuer *url.URL) error {
	if s.SameSite == sameSiteNone && issuer.Scheme != "https" {
		return errors.New("session: same_site none takes an https issuer: browsers keep such a cookie only if it is Secure; set same_site lax, or use https")
	}
	return nil
}

func (s *SessionConfig) policy(format records.Format) session.Policy {
	return session.Policy{
		Format: format,
		Idle:   time.Duration(s.Idle), Lifetime: time.Duration(s.Lifetime), OutageGrace: time.Duration(s.OutageGrace),
		PerUser: s.PerUser,
	}
}

// checkRecordFormat is for record_format; nothing is the default.
func checkRecordFormat(format *int) error {
	*format = cmp.Or(*format, int(records.JSON))
	if *format != int(records.JSON) && *format != int(records.CBOR) {
		return fmt.Errorf("record_format is %d; expected 1 or 2", *format)
	}
	return nil
}

// CodesConfig bounds authorization codes.
type CodesConfig struct {
	// How long a code can be redeemed. Default: `60s`.
	Lifetime caddy.Duration `json:"lifetime,omitempty"`

	// How many codes may wait to be redeemed. Beyond that number, new codes are refused
	// with 429. No code is ever dropped. Default: 100000.
	Capacity int `json:"capacity,omitempty"`

	// How many of these codes one session may have. A user may have four times this
	// number, and may redeem 640 codes in an hour, or ten times this number if that is
	// more. Default: 64.
	PerSession int `json:"per_session,omitempty"`
}

func (c *CodesConfig) setDefaults() {
	c.Lifetime = cmp.Or(c.Lifetime, caddy.Duration(codes.DefaultLifetime))
	c.Capacity = cmp.Or(c.Capacity, codes.DefaultCapacity)
	c.PerSession = cmp.Or(c.PerSession, codes.DefaultPerSession)
}

func (c *CodesConfig) validate() error {
	if c.Lifetime < caddy.Duration(time.Second) || c.Lifetime > caddy.Duration(10*time.Minute) {
		return fmt.Errorf("codes: lifetime is %v; expected 1s to 10m (RFC 6749 section 4.1.2)", time.Duration(c.Lifetime))
	}
	if c.Capacity < 1 || c.PerSession < 1 {
		return errors.New("codes: capacity and per_session have to be positive numbers")
	}
	return nil
}

func (c *CodesConfig) limits(format records.Format) codes.Limits {
	return codes.Limits{Format: format, Lifetime: time.Duration(c.Lifetime), Capacity: c.Capacity, PerSession: c.PerSession}
}

// BrandConfig is how the pages look.
type BrandConfig struct {
	// The name at the top of every page. Default: none.
	Name string `json:"name,omitempty"`

	// The address of a logo: an absolute path of the portal, or an https URL.
	// Default: a neutral mark.
	Logo string `json:"logo,omitempty"`

	// The colour of buttons and links, as `#rrggbb`. Text on it is chosen to be
	// readable. Default: a calm blue.
	Accent string `json:"accent,omitempty"`
}

func (b *BrandConfig) check() error {
	_, err := b.pages(nil)
	return err
}

func (b *BrandConfig) pages(failed func(error)) (*page.Pages, error) {
	pages, err := page.New(page.Brand{Name: b.Name, Logo: b.Logo, Accent: b.Accent}, page.Options{
		AssetPrefix: portal.AssetPrefix, Failed: failed,
	})
	if err != nil {
		return nil, fmt.Errorf("brand: %w", err)
	}
	return pages, nil
}

// ParseIssuer checks the portal's public origin.
func ParseIssuer(raw string) (*url.URL, error) {
	const right = "expected the portal's public origin, such as https://login.example.com"
	if raw == "" {
		return nil, errors.New("issuer is missing; " + right)
	}
	spelled, err := oauth.BrowserSpelling(raw)
	if err != nil {
		return nil, fmt.Errorf("issuer %q %w; %s", raw, err, right)
	}
	u, err := url.Parse(spelled)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Hostname() == "" {
		return nil, fmt.Errorf("issuer %q is not a web origin; %s", raw, right)
	}
	if u.User != nil || u.Path != "" || u.RawQuery != "" || strings.ContainsAny(raw, "?#") {
		return nil, fmt.Errorf("issuer %q has more than scheme, host and port; %s", raw, right)
	}
	if raw != spelled {
		return nil, fmt.Errorf("issuer %q is not written as browsers write origins; expected %s", raw, spelled)
	}
	if u.Scheme == "http" && !oauth.IsLoopbackHost(u.Hostname()) {
		return nil, fmt.Errorf("issuer %q is http, which is for loopback only (localhost, 127.0.0.1, [::1]); use https, also if TLS ends at a proxy", raw)
	}
	return u, nil
}
