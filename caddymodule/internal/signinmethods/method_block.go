package signinmethods

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/options"
	"github.com/caddy-sso/caddy-sso/caddymodule/internal/secrets"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/page"
)

// parseMethod reads a sign-in method that has an ID, and its block. Then check looks at
// the method as a whole. example is an ID for the error of a line that has none.
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

// provisionSecret reads the secret of a sign-in method. option is the name of its
// setting.
func provisionSecret(kind, id, option, setting string) (string, error) {
	secret, err := secrets.Read(setting)
	if err != nil {
		return "", fmt.Errorf("signin %s %s: %s: %w", kind, id, option, err)
	}
	return secret, nil
}

var methodIDPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// checkMethodID refuses what cannot be the ID of a sign-in method.
func checkMethodID(kind, id string) error {
	if !methodIDPattern.MatchString(id) {
		return fmt.Errorf("the ID %q is not of letters, digits, - and _, at most 64; write for example: signin %s acme", id, kind)
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
