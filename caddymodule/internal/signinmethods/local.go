// Package signinmethods has the guest modules below `sso.signin`: the sign-in methods
// local, oidc, backend and trusted, with their settings and their Caddyfile syntax. What
// happens at a sign-in stands in the packages that they configure.
package signinmethods

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"
	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/options"
	"github.com/caddy-sso/caddy-sso/caddymodule/internal/secrets"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/signin/local"
	"github.com/caddy-sso/caddy-sso/internal/signin/userinfo"
	"github.com/caddy-sso/caddy-sso/internal/signin/username"
	"github.com/caddy-sso/caddy-sso/signin"
)

func init() {
	caddy.RegisterModule(new(Local))
}

// Local signs in the users of the configuration and of a file.
type Local struct {
	// How often a password may be tried.
	Attempts Attempts `json:"attempts,omitzero"`

	// The users.
	Users []*User `json:"users,omitempty"`

	// A file of more users: one JSON object a line, see `caddy sso user`. Changes to it
	// take effect within seconds. It has to exist; without users it has one empty line.
	// If a name or an e-mail address is also one of `users`, that one is used. Default:
	// none.
	UsersFile string `json:"users_file,omitempty"`

	log    *zap.Logger
	groups oauth.ConfiguredGroups // of the users that were read from a Caddyfile
}

// Attempts limits failed sign-ins. Attempts come back evenly over the time. Each node
// counts for itself.
type Attempts struct {
	// Failures for one account: half of them with its user name, and half with its
	// e-mail address. A browser in which its password was right before has its own count
	// until the password changes, so that failures of others do not lock its user out.
	// Default: 10.
	PerAccount int `json:"per_account,omitempty"`

	// Failures from one address, which is Caddy's `client_ip`; an IPv6 /64 counts as
	// one. Failures of browsers that have signed in before count, too, but such a browser
	// is locked out only after this number of failures of such browsers. Default: 100.
	PerAddress int `json:"per_address,omitempty"`

	// The time in which so many are allowed. Default: `15m`.
	Every caddy.Duration `json:"every,omitempty"`
}

// User is one user.
type User struct {
	// The user name, compared without case. Required.
	Name string `json:"name,omitempty"`

	// A bcrypt or argon2id hash, as `caddy hash-password` prints it. Placeholders
	// are replaced. Required.
	Hash string `json:"hash,omitempty"`

	// The e-mail address, with which the user can sign in, too.
	Email string `json:"email,omitempty"`

	// The groups that the user is in. None has a comma in it.
	Groups []string `json:"groups,omitempty"`

	// The user's UUID, for a user who had another one before. Default: derived from the
	// name; the same after a restart and on every node.
	Subject string `json:"subject,omitempty"`

	// When the account was created, as `2019-04-27` or `2019-04-27T12:41:02Z`: the
	// Login API's `registered`. Default: when the user signed in.
	Registered string `json:"registered,omitempty"`
}

// DefaultAttemptLimits apply if no sign-in method limits the attempts.
var DefaultAttemptLimits = signin.AttemptLimits{PerAccount: 10, PerAddress: 100, Every: 15 * time.Minute}

// CaddyModule returns the Caddy module information.
func (*Local) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sso.signin.local", New: func() caddy.Module { return new(Local) }}
}

// Provision fills in the defaults.
func (s *Local) Provision(ctx caddy.Context) error {
	s.log = ctx.Logger()
	s.Attempts.PerAccount = cmp.Or(s.Attempts.PerAccount, DefaultAttemptLimits.PerAccount)
	s.Attempts.PerAddress = cmp.Or(s.Attempts.PerAddress, DefaultAttemptLimits.PerAddress)
	s.Attempts.Every = cmp.Or(s.Attempts.Every, caddy.Duration(DefaultAttemptLimits.Every))
	if s.Attempts.PerAccount < 0 || s.Attempts.PerAddress < 0 || s.Attempts.Every < caddy.Duration(time.Second) {
		return errors.New("attempts: expected positive numbers, and every to be at least 1s")
	}
	if i := slices.Index(s.Users, nil); i >= 0 {
		return fmt.Errorf("users: entry %d is null", i)
	}
	return nil
}

// Comparers are Caddy's own.
var Comparers = local.Comparers{
	Bcrypt:   caddyauth.BcryptHash{}.Compare,
	Argon2id: caddyauth.Argon2idHash{}.Compare,
}

// Method implements caddymodule.MethodModule.
func (s *Local) Method() (signin.Method, error) {
	method, err := local.New("local", nil)
	if err != nil {
		return nil, fmt.Errorf("local: %w", err)
	}
	for _, u := range s.Users {
		hash, err := secrets.Read(u.Hash)
		if err != nil {
			return nil, fmt.Errorf("local: user %q: hash: %w", u.Name, err)
		}
		if err := u.addTo(method, hash); err != nil {
			return nil, fmt.Errorf("local: %w", err)
		}
	}
	if s.UsersFile != "" {
		method.UseFile(s.UsersFile, Comparers, s.log)
	}
	return method, nil
}

// addTo adds the user, with the hash after its placeholders were replaced.
func (u *User) addTo(method *local.Method, encoded string) error {
	hash, err := local.ParseHash(encoded, Comparers)
	if err != nil {
		return fmt.Errorf("user %q: %w", u.Name, err)
	}
	if u.Subject != "" && !options.IsUUID(u.Subject) {
		return fmt.Errorf("user %q: subject %q is not a UUID in lower case; correct it, or leave subject out", u.Name, u.Subject)
	}
	registered, err := userinfo.ParseRegistered(u.Registered)
	if err != nil {
		return fmt.Errorf("user %q: %w", u.Name, err)
	}
	return method.Add(local.Account{Name: u.Name, Hash: hash, Email: u.Email, Groups: u.Groups, Subject: u.Subject, Registered: registered})
}

// AttemptLimits implements caddymodule.AttemptLimiter.
func (s *Local) AttemptLimits() signin.AttemptLimits {
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
func (s *Local) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	all, err := local.New("local", nil) // to find out what is wrong with a user, on its line
	if err != nil {
		return err
	}
	return options.Block(d, map[string]func() error{
		"attempts": func() error { return s.attempts(d) },
		"user":     func() error { return s.user(d, all) },
		"users": func() error {
			return options.CheckedArg(d, &s.UsersFile, local.CheckUsersFile)
		},
	})
}

func (s *Local) attempts(d *caddyfile.Dispenser) error {
	return options.Block(d, map[string]func() error{
		"per_account": func() error { return options.PositiveArg(d, &s.Attempts.PerAccount) },
		"per_address": func() error { return options.PositiveArg(d, &s.Attempts.PerAddress) },
		"every":       func() error { return options.DurationArg(d, &s.Attempts.Every) },
	})
}

// placeholderHash replaces a hash that is not known yet, to check the other settings
// of a user.
var placeholderHash = "$2a$04$" + strings.Repeat("A", 53)

func (s *Local) user(d *caddyfile.Dispenser, all *local.Method) error {
	u := new(User)
	switch args := d.RemainingArgs(); len(args) {
	case 2:
		u.Name, u.Hash = args[0], args[1]
	case 0, 1:
		return d.Errf("expected: user <name> <hash>; make the hash with: caddy hash-password")
	default:
		return d.Errf("expected: user <name> <hash>; put a name with blanks in quotes, such as: user \"Ada Lovelace\" <hash>")
	}
	if err := options.CheckNoPlaceholder(d, "user", u.Name); err != nil {
		return err
	}
	line := *d
	err := options.Block(d, map[string]func() error{
		"email": func() error { return options.CheckedArg(d, &u.Email, options.ParsedBy(username.CanonicalEmail)) },
		"group": func() error {
			return options.EachArg(d, &u.Groups, func(name string) error { return s.groups.Add(name, u.owner()) })
		},
		"subject":    func() error { return options.TextArg(d, &u.Subject) },
		"registered": func() error { return options.CheckedArg(d, &u.Registered, options.ParsedBy(userinfo.ParseRegistered)) },
	})
	if err != nil {
		return err
	}
	s.Users = append(s.Users, u)
	hash := u.Hash
	if secrets.HasPlaceholder(hash) {
		hash = placeholderHash
	}
	return options.WithLine(&line, u.addTo(all, hash))
}

// AddGroups adds the groups of users in the configuration. Groups in a file may
// change, and are read when its users sign in.
func (s *Local) AddGroups(all *oauth.ConfiguredGroups) error {
	for _, u := range s.Users {
		for _, name := range u.Groups {
			if err := all.Add(name, u.owner()); err != nil {
				return err
			}
		}
	}
	return nil
}

// owner names the user in an error about a group.
func (u *User) owner() string { return fmt.Sprintf("user %q", u.Name) }

// Interface guards
var (
	_ caddy.Provisioner     = (*Local)(nil)
	_ caddyfile.Unmarshaler = (*Local)(nil)
)
