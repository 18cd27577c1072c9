// Package ssopin is an example of a sign-in method of one's own for caddy-sso: the Caddy
// module sso.signin.pin, which signs users in by the number of a badge and a PIN.
package ssopin

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-sso/caddy-sso/caddymodule"
	"github.com/caddy-sso/caddy-sso/signin"
)

func init() {
	caddy.RegisterModule(new(PIN))
}

// PIN signs in the holders of badges.
type PIN struct {
	// The file of badges: a number and the bcrypt hash of its PIN a line. It is read at
	// every reload. Required.
	File string `json:"file,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*PIN) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sso.signin.pin", New: func() caddy.Module { return new(PIN) }}
}

var errNoFile = errors.New("pin: file is missing; name the file of badges, such as: file badges.txt")

// Method implements [caddymodule.MethodModule].
func (p *PIN) Method() (signin.Method, error) {
	if p.File == "" {
		return nil, errNoFile
	}
	f, err := os.Open(p.File)
	if err != nil {
		return nil, fmt.Errorf("pin: opening the file of badges: %w", err)
	}
	defer f.Close()
	m, err := Read(f)
	if err != nil {
		return nil, fmt.Errorf("pin: %s: %w", p.File, err)
	}
	return m, nil
}

// AttemptLimits implements [caddymodule.AttemptLimiter]: a PIN has few digits, so fewer
// attempts are allowed than for a password.
func (*PIN) AttemptLimits() signin.AttemptLimits {
	return signin.AttemptLimits{PerAccount: 5, PerAddress: 50, Every: time.Hour}
}

// UnmarshalCaddyfile sets up the method from Caddyfile tokens. Syntax:
//
//	signin pin {
//		file <path>
//	}
func (p *PIN) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the name of the method
	if d.NextArg() {
		return d.ArgErr()
	}
	for d.NextBlock(d.Nesting()) {
		if option := d.Val(); option != "file" {
			return d.Errf("signin pin: unknown option %q; expected file", option)
		}
		if !d.AllArgs(&p.File) {
			return d.ArgErr()
		}
	}
	if p.File == "" {
		return d.WrapErr(fmt.Errorf("signin %w", errNoFile))
	}
	return nil
}

// Interface guards
var (
	_ caddymodule.MethodModule   = (*PIN)(nil)
	_ caddymodule.AttemptLimiter = (*PIN)(nil)
	_ caddyfile.Unmarshaler      = (*PIN)(nil)
)
