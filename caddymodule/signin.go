package caddymodule

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"
	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/signin/local"
	"github.com/caddy-sso/caddy-sso/internal/signin/userinfo"
	"github.com/caddy-sso/caddy-sso/internal/signin/username"
	"github.com/caddy-sso/caddy-sso/signin"
)

func init() {
	caddy.RegisterModule(new(SigninLocal))
}

// MethodModule is what a module below `sso.signin` does.
type MethodModule interface {
	// Method makes the sign-in method. It is called once, after Provision, and
	// connects to nothing.
	Method() (signin.Method, error)
}

// AttemptLimiter is what a module below `sso.signin` is, too, if it takes
// passwords and says how often they may be tried. For others the defaults
// count.
type AttemptLimiter interface {
	AttemptLimits() signin.AttemptLimits
}

// SigninLocal signs in the users of the configuration.
type SigninLocal struct {
	// How often a password may be tried.
	Attempts AttemptsConfig `json:"attempts,omitzero"`

	// The users.
	Users []*UserConfig `json:"users,omitempty"`

	// A file of more users, one JSON object a line, which is followed: see
	// `caddy sso user`. It has to be there, and not empty: one without users has an
	// empty line. Where a name or an e-mail address is also one of `users`, those
	// win. Default: none.
	UsersFile string `json:"users_file,omitempty"`

	log    *zap.Logger
	groups oauth.ConfiguredGroups // of the users that were read from a Caddyfile
}

// AttemptsConfig bounds failed sign-ins. What is used up comes back evenly
// over the time. The counts are this node's own.
type AttemptsConfig struct {
	// Failures for one account: half of them by its user name, and half by its
	// e-mail address. A browser in which its password was right before has a count
	// of its own until the password changes, so that a stranger's failures lock
	// nobody out. Default: 10.
	PerAccount int `json:"per_account,omitempty"`

	// Failures from one address, as Caddy's `client_ip` has it; an IPv6 /64
	// counts as one. Those of browsers that know their account count, too, but
	// only as many failures of such browsers keep one of them out. Default: 100.
	PerAddress int `json:"per_address,omitempty"`

	// The time in which so many are allowed. Default: `15m`.
	Every caddy.Duration `json:"every,omitempty"`
}

// UserConfig is one user.
type UserConfig struct {
	// The user name, compared without case. Required.
	Name string `json:"name,omitempty"`

	// A bcrypt or argon2id hash, as `caddy hash-password` prints it. Placeholders
	// are replaced. Required.
	Hash string `json:"hash,omitempty"`

	// The e-mail address, with which the user can sign in, too.
	Email string `json:"email,omitempty"`

	// The groups that the user is in. None has a comma in it.
	Groups []string `json:"groups,omitempty"`

	// The user's UUID, for one who had another before. Default: derived from
	// the name, the same after a restart and on every node.
	Subject string `json:"subject,omitempty"`

	// When the account was made, as `2019-04-27` or `2019-04-27T12:41:02Z`: the
	// Login API's `registered`. Default: when the user signed in.
	Registered string `json:"registered,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*SigninLocal) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sso.signin.local", New: func() caddy.Module { return new(SigninLocal) }}
}

// Provision fills in the defaults.
func (s *SigninLocal) Provision(ctx caddy.Context) error {
	s.log = ctx.Logger()
	setDefault(&s.Attempts.PerAccount, 10)
	setDefault(&s.Attempts.PerAddress, 100)
	setDefault(&s.Attempts.Every, caddy.Duration(15*time.Minute))
	if s.Attempts.PerAccount < 0 || s.Attempts.PerAddress < 0 || s.Attempts.Every < caddy.Duration(time.Second) {
		return errors.New("attempts: expected positive numbers, and every to be at least 1s")
	}
	if i := slices.Index(s.Users, nil); i >= 0 {
		return fmt.Errorf("users: entry %d is null", i)
	}
	return nil
}

// comparers are Caddy's own.
var comparers = local.Comparers{
	Bcrypt:   caddyauth.BcryptHash{}.Compare,
	Argon2id: caddyauth.Argon2idHash{}.Compare,
}

// Method implements MethodModule.
func (s *SigninLocal) Method() (signin.Method, error) {
	method, err := local.New("local", nil)
	if err != nil {
		return nil, fmt.Errorf("local: %w", err)
	}
	for _, u := range s.Users {
		hash, err := readSecret(u.Hash)
		if err != nil {
			return nil, fmt.Errorf("local: user %q: hash: %w", u.Name, err)
		}
		if err := u.addTo(method, hash); err != nil {
			return nil, fmt.Errorf("local: %w", err)
		}
	}
	if s.UsersFile != "" {
		method.UseFile(s.UsersFile, comparers, s.log)
	}
	return method, nil
}

// addTo adds the user, with the hash that placeholders stand for.
func (u *UserConfig) addTo(method *local.Method, encoded string) error {
	hash, err := local.ParseHash(encoded, comparers)
	if err != nil {
		return fmt.Errorf("user %q: %w", u.Name, err)
	}
	if u.Subject != "" && !uuid.MatchString(u.Subject) {
		return fmt.Errorf("user %q: subject %q is no UUID in lower case", u.Name, u.Subject)
	}
	registered, err := userinfo.ParseRegistered(u.Registered)
	if err != nil {
		return fmt.Errorf("user %q: %w", u.Name, err)
	}
	return method.Add(local.Account{Name: u.Name, Hash: hash, Email: u.Email, Groups: u.Groups, Subject: u.Subject, Registered: registered})
}

// AttemptLimits implements AttemptLimiter.
func (s *SigninLocal) AttemptLimits() signin.AttemptLimits {
	return signin.AttemptLimits{
		PerAccount: s.Attempts.PerAccount, PerAddress: s.Attempts.PerAddress, Every: time.Duration(s.Attempts.Every),
	}
}

// UnmarshalCaddyfile sets up the users from Caddyfile tokens. Syntax:
//
//	signin local {
//		attempts {
//			per_account <n>
//			per_address <n>
//			every       <duration>
//		}
//		user <name> <hash> {
//			email      <address>
//			group      <name>...
//			subject    <uuid>
//			registered <date>
//		}
//		users <path>
//	}
func (s *SigninLocal) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	all, err := local.New("local", nil) // to find out what is wrong with a user, on its line
	if err != nil {
		return err
	}
	return parseOptions(d, map[string]func() error{
		"attempts": func() error { return s.attempts(d) },
		"user":     func() error { return s.user(d, all) },
		"users": func() error {
			return checkedArg(d, &s.UsersFile, local.CheckUsersFile)
		},
	})
}

func (s *SigninLocal) attempts(d *caddyfile.Dispenser) error {
	return parseOptions(d, map[string]func() error{
		"per_account": func() error { return positive(d, &s.Attempts.PerAccount) },
		"per_address": func() error { return positive(d, &s.Attempts.PerAddress) },
		"every":       func() error { return duration(d, &s.Attempts.Every) },
	})
}

// someHash stands for a hash that is not known yet, to check the rest of a user.
var someHash = "$2a$04$" + strings.Repeat("A", 53)

func (s *SigninLocal) user(d *caddyfile.Dispenser, all *local.Method) error {
	u := new(UserConfig)
	switch args := d.RemainingArgs(); len(args) {
	case 2:
		u.Name, u.Hash = args[0], args[1]
	case 0, 1:
		return d.Errf("expected: user <name> <hash>; make the hash with: caddy hash-password")
	default:
		return d.Errf("expected: user <name> <hash>; a name with blanks in it stands in quotes, such as: user \"Ada Lovelace\" <hash>")
	}
	if err := checkReplaced(d, "user", u.Name); err != nil {
		return err
	}
	line := *d
	err := parseOptions(d, map[string]func() error{
		"email": func() error {
			return checkedArg(d, &u.Email, func(email string) error {
				_, err := username.CanonicalEmail(email)
				return err
			})
		},
		"group": func() error {
			return eachArg(d, &u.Groups, func(name string) error { return s.groups.Add(name, u.names()) })
		},
		"subject": func() error { return textArg(d, &u.Subject) },
		"registered": func() error {
			return checkedArg(d, &u.Registered, func(text string) error {
				_, err := userinfo.ParseRegistered(text)
				return err
			})
		},
	})
	if err != nil {
		return err
	}
	s.Users = append(s.Users, u)
	hash := u.Hash
	if hasPlaceholder(hash) {
		hash = someHash
	}
	return withLine(&line, u.addTo(all, hash))
}

// Interface guards
var (
	_ MethodModule          = (*SigninLocal)(nil)
	_ AttemptLimiter        = (*SigninLocal)(nil)
	_ caddy.Provisioner     = (*SigninLocal)(nil)
	_ caddyfile.Unmarshaler = (*SigninLocal)(nil)
)
