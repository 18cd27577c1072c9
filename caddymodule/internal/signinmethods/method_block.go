package signinmethods

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/options"
	"github.com/caddy-sso/caddy-sso/caddymodule/internal/secrets"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/page"
	"github.com/caddy-sso/caddy-sso/signin"
)

// Names are the sign-in methods of this package, as modules and in the Caddyfile.
var Names = []string{"local", "oidc", "backend", "trusted"}

// parseMethod reads a sign-in method that has an ID, and its block. Then check checks
// the whole method. example is an ID for the error of a line without one.
func parseMethod(d *caddyfile.Dispenser, kind, example string, id *string, settings map[string]func() error, check func() error) error {
	d.Next()
	line := *d
	if !d.NextArg() {
		return d.Errf("expected: signin %s <id> { … }, for example: signin %s %s { … }", kind, kind, example)
	}
	*id = d.Val()
	if err := options.Block(d, settings); err != nil {
		return err
	}
	if err := check(); err != nil {
		return line.WrapErr(fmt.Errorf("signin %s %s: %w", kind, *id, err))
	}
	return nil
}

// provisioned has the values that Provision adds to the settings of a sign-in method.
type provisioned struct {
	secret string
	mark   string // of the users of a customer's provider, which comes and goes
	log    *zap.Logger
}

// provision reads the secret of a setting. The setting's name is for errors.
func (p *provisioned) provision(ctx caddy.Context, method, name, setting string) error {
	secret, err := secrets.Read(setting)
	if err != nil {
		return fmt.Errorf("signin %s: %s: %w", method, name, err)
	}
	p.secret, p.log = secret, ctx.Logger()
	return nil
}

// madeBy returns the sign-in method that a function creates. It adds the name to an
// error.
func madeBy[M signin.Method](name string, make func() (M, error)) (signin.Method, error) {
	method, err := make()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return method, nil
}

var methodIDPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// checkMethodID refuses a value that cannot be the ID of a sign-in method.
func checkMethodID(kind, id string) error {
	if !methodIDPattern.MatchString(id) {
		return fmt.Errorf("the ID %q has other characters than letters, digits, - and _, or more than 64; write for example: signin %s acme", id, kind)
	}
	if id == "local" {
		return errors.New("local is the ID of signin local; choose another")
	}
	return nil
}

var errMissingSecret = errors.New("secret is missing; make one with: openssl rand -base64 32")

// checkSignedServer checks the address and the secret of a server of the operator's.
func checkSignedServer(url, secret, server string) error {
	if url == "" {
		return fmt.Errorf("url is missing; add the one of your %s", server)
	}
	if secret == "" {
		return errMissingSecret
	}
	return nil
}

// checkButton checks how a sign-in method shows on the sign-in page.
func checkButton(name, icon string) error {
	if icon != "" {
		if err := page.CheckIcon(icon); err != nil {
			return fmt.Errorf("icon %q: %w", icon, err)
		}
	}
	if !oauth.CleanText(name) {
		return fmt.Errorf("name %q has control characters", name)
	}
	return nil
}
