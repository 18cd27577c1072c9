// Package remote has the sign-in methods by the operator's own servers: [Backend]
// asks a server whether a password is right, and [Trusted] signs in the users that a
// sign-in page of the operator's own has signed in.
package remote

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"go.uber.org/zap"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/caddy-sso/caddy-sso/internal/signedhttp"
	"github.com/caddy-sso/caddy-sso/internal/signin/limits"
	"github.com/caddy-sso/caddy-sso/internal/signin/subjects"
	"github.com/caddy-sso/caddy-sso/internal/signin/userinfo"
	"github.com/caddy-sso/caddy-sso/internal/signin/username"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/signin"
)

// maxAsking bounds the passwords that one backend checks at a time.
const maxAsking = 32

// A Backend signs in the users of the operator's own backend, which checks the
// password.
type Backend struct {
	id, name string
	server   *signedhttp.Client
	Asking   limits.Queue
	groups   userinfo.Groups
	wanted   func() []string // the claims that gates name; nil: none
	subjects.Naming
}

// NewBackend returns a method that asks a server. The log uses the name.
func NewBackend(id, name string, server *signedhttp.Client) *Backend {
	return &Backend{
		id: id, name: name, server: server, Asking: limits.NewQueueOf(maxAsking), groups: userinfo.Groups{Method: id, Claim: "groups", Now: time.Now},
		Naming: subjects.Naming{Kind: "way", Within: id},
	}
}

// UseOwnSubjects makes the backend's own subjects the users' subjects.
func (b *Backend) UseOwnSubjects() { b.Own = true }

// ReadClaims implements [signin.ClaimReader].
func (b *Backend) ReadClaims(names func() []string) { b.wanted = names }

// LogTo sets the log for groups of a user that cannot be used.
func (b *Backend) LogTo(log *zap.Logger) { b.groups.Log = log }

// ID implements [signin.Method].
func (b *Backend) ID() string { return b.id }

// Current implements [signin.Method]. Changes of a user after the sign-in are unknown
// here.
func (b *Backend) Current(u session.User) (session.User, bool) { return u, true }

// Account implements [signin.PasswordMethod]. Only the backend knows which names
// belong to one account, so differences that databases and mail servers are known to
// ignore are ignored here.
func (b *Backend) Account(name string) string {
	return subjects.Derive("name", b.id+"\x00"+foldName(name))
}

// foldName returns a name without case, accents, width, punctuation, invisible
// characters, and the part after a plus in an e-mail address.
func foldName(name string) string {
	name = username.Spelled(name)
	if at := strings.LastIndexByte(name, '@'); at >= 0 {
		local, _, _ := strings.Cut(name[:at], "+")
		name = local + name[at:]
	}
	letters := strings.Map(func(r rune) rune {
		if !unicode.IsLetter(r) && !unicode.IsNumber(r) {
			return -1
		}
		return r
	}, cases.Fold().String(norm.NFKD.String(name)))
	return cmp.Or(letters, name)
}

// CredentialsQuestion is the request to a backend. Members may be added.
type CredentialsQuestion struct {
	Username string `json:"username"`
	Password string `json:"password"`
	Address  string `json:"address"`
}

// Check implements [signin.PasswordMethod].
func (b *Backend) Check(ctx context.Context, c signin.Credentials) (session.User, error) {
	name := username.Printable(strings.TrimSpace(c.Name))
	if name == "" || !utf8.ValidString(name) || c.Password == "" || len(c.Password) > signin.MaxPassword || !utf8.ValidString(c.Password) {
		return session.User{}, signin.ErrWrong
	}
	leave, err := b.Asking.Enter(ctx, c)
	if err != nil {
		return session.User{}, fmt.Errorf("waiting to ask %s: %w", b.id, err)
	}
	defer leave()
	status, answer, err := b.server.Post(ctx, CredentialsQuestion{name, c.Password, c.From})
	if err != nil {
		return session.User{}, b.down(err)
	}
	switch status {
	case http.StatusOK:
		u, err := b.answered(answer)
		if err != nil {
			return session.User{}, b.down(err)
		}
		return u, nil
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		if !isWrongPassword(answer) { // a server also refuses a request so, or knows no such URL
			// It may mean a wrong password all the same, so guesses are bounded.
			return session.User{}, errors.Join(b.down(fmt.Errorf(`the answer was %d, and not {"error":"wrong"} or {"user":…}, by which it would say that the password is wrong; `+
				"does it refuse the signature? Compare the url, the secret and the clock of both", status)), signin.ErrWrong)
		}
		if u, err := b.answered(answer); err == nil && c.Whose != nil {
			c.Whose(u)
		}
		return session.User{}, signin.ErrWrong
	}
	return session.User{}, b.down(fmt.Errorf("the answer was %d", status))
}

// isWrongPassword reports whether an answer means that the password is wrong.
func isWrongPassword(answer []byte) bool {
	var says struct {
		Error any             `json:"error"`
		User  json.RawMessage `json:"user"`
	}
	return json.Unmarshal(answer, &says) == nil && (says.Error == "wrong" || says.User != nil)
}

// answered is the user in an answer.
func (b *Backend) answered(answer []byte) (session.User, error) {
	var says struct {
		User map[string]any `json:"user"`
	}
	if json.Unmarshal(answer, &says) != nil {
		return session.User{}, errors.New("the answer is no JSON object with a user")
	}
	u, err := userOf(b.id, says.User, b.Naming, &b.groups, b.wanted)
	if credential, _ := says.User["credential"].(string); err == nil && credential != "" {
		u.Mark = subjects.MarkOf(credential)
	}
	return u, err
}

func (b *Backend) down(err error) error {
	return &signin.DownError{Method: b.id, RetryAfter: 5 * time.Second, Cause: fmt.Errorf("%s (signin backend %s): %w", b.name, b.id, err)}
}
