package oauth

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/records"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/storage"
)

// A ConsentMode says when users are asked whether a client may have what it asks
// for.
type ConsentMode string

// The modes. The zero value is ConsentNever: the client is the operator's own.
const (
	ConsentNever  ConsentMode = "never"
	ConsentFirst  ConsentMode = "first"  // once for each user and scope
	ConsentAlways ConsentMode = "always" // before each code
)

// Check refuses a mode that there is not; "" is the default.
func (m ConsentMode) Check() error {
	switch m {
	case "", ConsentNever, ConsentFirst, ConsentAlways:
		return nil
	}
	return fmt.Errorf("consent %q is unknown; use first, always or never", string(m))
}

const (
	// consentLifetime is how long a consent is remembered that nobody withdraws, from
	// when it was given last: as long as the longest refresh token.
	consentLifetime = maxRefreshLifetime

	// answerLifetime is how long an answer on the consent page is good for the request
	// that it was about.
	answerLifetime = 5 * time.Minute

	// What of a client that may ask for everything is remembered. A scope beyond it is
	// asked for again.
	maxConsentScopes = 64
	maxConsentBytes  = 4 << 10
)

// A consent is what one user has allowed one client, as it is stored.
type consent struct {
	Version int      `json:"v" cbor:"0,keyasint"`
	Scopes  []string `json:"scopes" cbor:"1,keyasint"`
	Given   int64    `json:"given" cbor:"2,keyasint"` // Unix seconds, the last time

	// Session has the IDs of the sessions in each of which something was added to it,
	// separated by spaces, the latest first.
	Session string `json:"session" cbor:"3,keyasint"`

	// Mark is that of the user's password of then: with another password, the name
	// may be another person's.
	Mark string `json:"mark,omitempty" cbor:"4,keyasint,omitempty"`
}

// asksConsent says whether the user has to have allowed what a request asks for.
func (a *Authorization) asksConsent() bool {
	return a.PromptConsent || a.Client.AsksConsent()
}

// AsksConsent says whether users are asked whether the client may have what it asks
// for.
func (c *Client) AsksConsent() bool { return c.Consent == ConsentFirst || c.Consent == ConsentAlways }

// CheckConsent refuses a request whose user has to be asked first on the consent
// page ([ConsentRequired]).
func (s *Server) CheckConsent(ctx context.Context, a *Authorization, in SignedIn) *Error {
	return s.consented(ctx, a, in, s.Store.Get)
}

// useConsent is CheckConsent, and uses the answer of the consent page up.
func (s *Server) useConsent(ctx context.Context, a *Authorization, in SignedIn) *Error {
	return s.consented(ctx, a, in, s.Store.Take)
}

func (s *Server) consented(
	ctx context.Context, a *Authorization, in SignedIn, find func(context.Context, string) ([]byte, bool, error),
) *Error {
	if !a.asksConsent() {
		return nil
	}
	given, err := s.remembered(ctx, a.Client, in.User)
	if err != nil {
		return Unavailable(err)
	}
	if a.remembers() && given.covers(a.Scopes) {
		return nil
	}
	_, answered, err := find(ctx, answerKey(a, in))
	switch {
	case err != nil:
		return Unavailable(fmt.Errorf("looking up an answer on the consent page: %w", err))
	case !answered:
		return &Error{Kind: ConsentRequired, Description: "The user has not allowed this client what it asks for."}
	}
	return nil
}

// remembers says whether what was allowed before will do.
func (a *Authorization) remembers() bool {
	return a.Client.Consent == ConsentFirst && !a.PromptConsent
}

// NewScopes are those scopes of a request that the user has not allowed its client
// before.
func (s *Server) NewScopes(ctx context.Context, a *Authorization, in SignedIn) ([]string, error) {
	given, err := s.remembered(ctx, a.Client, in.User)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(a.Scopes), func(scope string) bool { return given.covers([]string{scope}) }), nil
}

// remembered is what a user has allowed a client, nil for nothing.
func (s *Server) remembered(ctx context.Context, c *Client, u session.User) (*consent, error) {
	if c.Consent != ConsentFirst {
		return nil, nil
	}
	stored, _, err := s.Store.Get(ctx, consentKey(u.Subject, c))
	if err != nil {
		return nil, fmt.Errorf("looking up a consent: %w", err)
	}
	return readConsent(stored, u.Mark)
}

var errWithdrawn = fmt.Errorf("%w: its user does not allow the client anything now", errEnded)

// stillAllowed is errWithdrawn where a user has withdrawn what they allowed a client
// since it got its code.
func (s *Server) stillAllowed(ctx context.Context, c *Client, u session.User) error {
	if c.Consent != ConsentFirst {
		return nil
	}
	given, err := s.remembered(ctx, c, u)
	if err == nil && given == nil {
		return errWithdrawn
	}
	return err
}

// readConsent reads what is stored: nil where nothing is, or it cannot be read, or it
// is of another password. The only error is a [records.ErrVersion].
func readConsent(stored []byte, mark string) (*consent, error) {
	given := new(consent)
	switch err := records.Decode(stored, given, &given.Version); {
	case errors.Is(err, records.ErrVersion):
		return nil, fmt.Errorf("decoding a consent: %w", err)
	case err != nil, given.Mark != mark:
		return nil, nil //nolint:nilerr // the user is asked again
	}
	return given, nil
}

// covers says whether scopes are allowed. With openid the client gets nothing that is
// not part of any consent: who the user is.
func (c *consent) covers(scopes []string) bool {
	return c != nil && !slices.ContainsFunc(scopes, func(scope string) bool { return scope != "openid" && !slices.Contains(c.Scopes, scope) })
}

// Allow notes that the user of a session allows what a request asks for: for this
// very request, and for later ones where its client has it so.
func (s *Server) Allow(ctx context.Context, a *Authorization, in SignedIn, from Origin) error {
	covered := false
	if a.Client.Consent == ConsentFirst {
		var err error
		if covered, err = s.remember(ctx, a, in); err != nil {
			return err
		}
	}
	if !a.remembers() || !covered {
		if err := s.Store.Put(ctx, answerKey(a, in), []byte{1}, answerLifetime); err != nil {
			return fmt.Errorf("storing an answer on the consent page: %w", err)
		}
	}
	s.Audit.Record(Event{What: ConsentGiven, User: in.User, Client: a.Client, Session: in.Session, From: from})
	return nil
}

// remember adds what a request asks for to what its user has allowed, and says
// whether all of it has room there.
func (s *Server) remember(ctx context.Context, a *Authorization, in SignedIn) (covered bool, err error) {
	err = storage.Update(ctx, s.Store, consentKey(in.User.Subject, a.Client), consentLifetime, func(stored []byte) ([]byte, bool, error) {
		given, err := readConsent(stored, in.User.Mark)
		if err != nil {
			return nil, false, err
		}
		if given == nil {
			given, stored = &consent{Version: records.Version}, nil
		}
		if stored == nil || !given.covers(a.Scopes) {
			given.addSession(sessionID(in.Session.Key()))
		}
		given.Scopes = boundScopes(slices.Concat(a.Scopes, given.Scopes))
		given.Given, given.Mark = s.Now().Unix(), in.User.Mark
		covered = given.covers(a.Scopes)
		value, err := records.Encode(s.Sessions.Format(), given, stored)
		return value, true, err
	})
	if err != nil {
		return false, fmt.Errorf("remembering a consent: %w", err)
	}
	return covered, nil
}

// addSession notes a session in which something was added, once.
func (c *consent) addSession(id string) {
	ids := slices.DeleteFunc(strings.Fields(c.Session), func(other string) bool { return other == id })
	c.Session = strings.Join(slices.Insert(ids, 0, id)[:min(len(ids)+1, maxConsentScopes)], " ")
}

// boundScopes are scopes, each once, up to what is remembered of one client.
func boundScopes(scopes []string) []string {
	bounded, size := []string{}, 0
	for _, scope := range scopes {
		if size+len(scope) > maxConsentBytes || len(bounded) == maxConsentScopes {
			break
		}
		if !slices.Contains(bounded, scope) {
			bounded, size = append(bounded, scope), size+len(scope)
		}
	}
	return bounded
}

// consentKey is the store's key of what a user has allowed a client. Subjects may be
// of any length.
func consentKey(subject string, c *Client) string {
	return fmt.Sprintf("consent:%x:%s", sha256.Sum256([]byte(subject)), c.ID)
}

// answerKey is the store's key of an answer on the consent page.
func answerKey(a *Authorization, in SignedIn) string {
	return fmt.Sprintf("consented:%x", Asked(a, in))
}

// Asked stands for all that a user is asked to allow: the request, with whatever of
// it changes who gets what, and the session. What is asked in another session, or
// with another scope, redirect URI, state or challenge, is another.
func Asked(a *Authorization, in SignedIn) [sha256.Size]byte {
	link := ""
	if a.License != nil {
		link = a.License.ID
	}
	all, err := json.Marshal([]any{
		sessionID(in.Session.Key()), in.User.Subject, a.Client.ID, a.RedirectURI, a.State, a.Scopes, a.Audience, a.Challenge, a.Nonce,
		a.OpenID, a.Token, a.FormPost, a.OfflineAccess, a.PromptConsent, a.Presentation, link,
	})
	if err != nil {
		panic(err) // there is nothing in it that JSON has not
	}
	return sha256.Sum256(all)
}
