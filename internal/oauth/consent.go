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

// A ConsentMode is when users are asked for their consent.
type ConsentMode string

// The modes. The zero value is ConsentNever, for the operator's own applications.
const (
	ConsentNever  ConsentMode = "never"
	ConsentFirst  ConsentMode = "first"  // once for each user and scope
	ConsentAlways ConsentMode = "always" // before every code
)

// Check refuses an unknown mode. "" is the default.
func (m ConsentMode) Check() error {
	switch m {
	case "", ConsentNever, ConsentFirst, ConsentAlways:
		return nil
	}
	return fmt.Errorf("consent %q is unknown; use first, always or never", string(m))
}

const (
	// consentLifetime is how long a consent is remembered after it was given the last
	// time: as long as the longest refresh token.
	consentLifetime = maxRefreshLifetime

	// answerLifetime is how long an answer of the consent page is valid for its
	// request.
	answerLifetime = 5 * time.Minute

	// Limits of a remembered consent, for a client that may request any scope. Scopes
	// beyond it are asked for again.
	maxConsentScopes = 64
	maxConsentBytes  = 4 << 10
)

// A consent is the stored consent of one user to one client.
type consent struct {
	Version int      `json:"v" cbor:"0,keyasint"`
	Scopes  []string `json:"scopes" cbor:"1,keyasint"`
	Given   int64    `json:"given" cbor:"2,keyasint"` // Unix seconds, the last time

	// Session has the IDs of the sessions in which the consent was given or extended,
	// separated by spaces, the latest first.
	Session string `json:"session" cbor:"3,keyasint"`

	// Mark is the mark of the user's password at that time. With another password,
	// the name may belong to another person.
	Mark string `json:"mark,omitempty" cbor:"4,keyasint,omitempty"`
}

// asksConsent reports whether a request needs the user's consent.
func (a *Authorization) asksConsent() bool {
	return a.PromptConsent || a.Client.AsksConsent()
}

// AsksConsent reports whether the client needs consent.
func (c *Client) AsksConsent() bool { return c.Consent == ConsentFirst || c.Consent == ConsentAlways }

// CheckConsent refuses a request with [ConsentRequired] if the consent page must ask
// the user first.
func (s *Server) CheckConsent(ctx context.Context, a *Authorization, in SignedIn) *Error {
	return s.requireConsent(ctx, a, in, s.Store.Get)
}

// useConsent is CheckConsent, and uses up the answer of the consent page.
func (s *Server) useConsent(ctx context.Context, a *Authorization, in SignedIn) *Error {
	return s.requireConsent(ctx, a, in, s.Store.Take)
}

func (s *Server) requireConsent(
	ctx context.Context, a *Authorization, in SignedIn, find func(context.Context, string) ([]byte, bool, error),
) *Error {
	if !a.asksConsent() {
		return nil
	}
	given, err := s.storedConsent(ctx, a.Client, in.User)
	if err != nil {
		return Unavailable(err)
	}
	if a.acceptsRemembered() && given.covers(a.Scopes) {
		return nil
	}
	_, answered, err := find(ctx, answerKey(a, in))
	switch {
	case err != nil:
		return Unavailable(fmt.Errorf("looking up an answer on the consent page: %w", err))
	case !answered:
		return &Error{Kind: ConsentRequired, Description: "The user has not allowed the scopes that this client requests."}
	}
	return nil
}

// acceptsRemembered reports whether an earlier consent suffices.
func (a *Authorization) acceptsRemembered() bool {
	return a.Client.Consent == ConsentFirst && !a.PromptConsent
}

// NewScopes are the scopes of a request that the user has not allowed before.
func (s *Server) NewScopes(ctx context.Context, a *Authorization, in SignedIn) ([]string, error) {
	given, err := s.storedConsent(ctx, a.Client, in.User)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(a.Scopes), func(scope string) bool { return given.covers([]string{scope}) }), nil
}

// storedConsent returns the stored consent of a user to a client; nil: none.
func (s *Server) storedConsent(ctx context.Context, c *Client, u session.User) (*consent, error) {
	if c.Consent != ConsentFirst {
		return nil, nil
	}
	stored, _, err := s.Store.Get(ctx, consentKey(u.Subject, c))
	if err != nil {
		return nil, fmt.Errorf("looking up a consent: %w", err)
	}
	return readConsent(stored, u.Mark)
}

var errWithdrawn = fmt.Errorf("%w: its user has withdrawn the consent", errEnded)

// checkNotWithdrawn returns errWithdrawn if the user has withdrawn the consent since the
// code was issued.
func (s *Server) checkNotWithdrawn(ctx context.Context, c *Client, u session.User) error {
	if c.Consent != ConsentFirst {
		return nil
	}
	given, err := s.storedConsent(ctx, c, u)
	if err == nil && given == nil {
		return errWithdrawn
	}
	return err
}

// readConsent decodes a stored consent. It returns nil if there is none, if it is
// malformed, or if it has another password's mark. The only error is a
// [records.ErrVersion].
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

// covers reports whether scopes are allowed. openid needs no consent of its own,
// since every consent allows the client to know the user.
func (c *consent) covers(scopes []string) bool {
	return c != nil && !slices.ContainsFunc(scopes, func(scope string) bool { return scope != "openid" && !slices.Contains(c.Scopes, scope) })
}

// Allow stores the consent of a session's user to a request: for this very request,
// and for later ones if the client's mode remembers consent.
func (s *Server) Allow(ctx context.Context, a *Authorization, in SignedIn, from Origin) error {
	covered := false
	if a.Client.Consent == ConsentFirst {
		var err error
		if covered, err = s.storeConsent(ctx, a, in); err != nil {
			return err
		}
	}
	if !a.acceptsRemembered() || !covered {
		if err := s.Store.Put(ctx, answerKey(a, in), []byte{1}, answerLifetime); err != nil {
			return fmt.Errorf("storing an answer on the consent page: %w", err)
		}
	}
	s.Audit.Record(Event{What: ConsentGiven, User: in.User, Client: a.Client, Session: in.Session, From: from})
	return nil
}

// storeConsent adds the scopes of a request to the stored consent. It returns false if
// not all of them fit.
func (s *Server) storeConsent(ctx context.Context, a *Authorization, in SignedIn) (covered bool, err error) {
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

// addSession adds a session ID once.
func (c *consent) addSession(id string) {
	ids := slices.DeleteFunc(strings.Fields(c.Session), func(other string) bool { return other == id })
	c.Session = strings.Join(slices.Insert(ids, 0, id)[:min(len(ids)+1, maxConsentScopes)], " ")
}

// boundScopes returns scopes, each once, within the limits of a stored consent.
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

// consentKey is the storage key of a user's consent to a client. A subject may have
// any length.
func consentKey(subject string, c *Client) string {
	return fmt.Sprintf("consent:%x:%s", sha256.Sum256([]byte(subject)), c.ID)
}

// answerKey is the storage key of an answer of the consent page.
func answerKey(a *Authorization, in SignedIn) string {
	return fmt.Sprintf("consented:%x", ConsentDigest(a, in))
}

// ConsentDigest is a hash of a question to the user: of the session, and of
// everything in the request that changes who gets what. Another session, scope, redirect URI, state or
// challenge is another question.
func ConsentDigest(a *Authorization, in SignedIn) [sha256.Size]byte {
	link := ""
	if a.License != nil {
		link = a.License.ID
	}
	all, err := json.Marshal([]any{
		sessionID(in.Session.Key()), in.User.Subject, a.Client.ID, a.RedirectURI, a.State, a.Scopes, a.Audience, a.Challenge, a.Nonce,
		a.OpenID, a.Token, a.FormPost, a.OfflineAccess, a.PromptConsent, a.Presentation, link,
	})
	if err != nil {
		panic(err) // JSON can encode all of it
	}
	return sha256.Sum256(all)
}
