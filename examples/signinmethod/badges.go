// Package badges is a sign-in method outside caddy-sso: users sign in with the number of
// their badge and a PIN.
package badges

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-sso/caddy-sso/caddymodule"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/signin"
)

func init() {
	caddy.RegisterModule(new(Badges))
}

// Badges is the Caddy module `sso.signin.badges`.
type Badges struct {
	// The PIN of each badge, by its number. A real method has slow hashes here.
	PINs map[string]string `json:"pins,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*Badges) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sso.signin.badges", New: func() caddy.Module { return new(Badges) }}
}

// Method implements caddymodule.MethodModule.
func (b *Badges) Method() (signin.Method, error) {
	if len(b.PINs) == 0 {
		return nil, fmt.Errorf("signin badges: no badge is configured; add for example: badge 4711 0815")
	}
	return &method{b.PINs}, nil
}

// UnmarshalCaddyfile sets up the method from Caddyfile tokens. Syntax:
//
//	signin badges {
//		badge <number> <pin>
//	}
func (b *Badges) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	for d.NextBlock(d.Nesting()) {
		if d.Val() != "badge" {
			return d.Errf("unknown option %q; expected badge", d.Val())
		}
		var number, pin string
		if !d.Args(&number, &pin) {
			return d.Err("expected badge <number> <pin>")
		}
		if b.PINs == nil {
			b.PINs = map[string]string{}
		}
		b.PINs[number] = pin
	}
	return nil
}

type method struct{ pins map[string]string }

func (*method) ID() string { return "badges" }

// Account removes spaces that some people type.
func (*method) Account(name string) string { return strings.ReplaceAll(name, " ", "") }

// Check implements signin.PasswordMethod. It compares MACs of equal length, also for an
// unknown number, so that the time tells nothing.
func (m *method) Check(_ context.Context, c signin.Credentials) (session.User, error) {
	number := m.Account(c.Name)
	pin, known := m.pins[number]
	if same := subtle.ConstantTimeCompare(mac(pin), mac(c.Password)) == 1; !same || !known {
		return session.User{}, signin.ErrWrong
	}
	return session.User{Subject: "badge-" + number, ProviderID: number, Name: "badge " + number, Signin: m.ID()}, nil
}

// Current implements signin.Method: a user may go on while the badge is configured.
func (m *method) Current(u session.User) (session.User, bool) {
	_, valid := m.pins[u.ProviderID]
	return u, valid
}

func mac(text string) []byte {
	m := hmac.New(sha256.New, []byte("badges"))
	m.Write([]byte(text))
	return m.Sum(nil)
}

// Interface guards
var (
	_ caddymodule.MethodModule = (*Badges)(nil)
	_ caddyfile.Unmarshaler    = (*Badges)(nil)
	_ signin.PasswordMethod    = (*method)(nil)
)
