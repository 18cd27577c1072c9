package oauth

import (
	"context"
	"errors"
	"slices"
	"time"
)

// An ExchangeRequest exchanges an access token for a narrower one (RFC 8693).
type ExchangeRequest struct {
	Client   *Client // authenticated
	Token    string
	Audience []string // as requested; empty: those of the token that the client has, too
	Scope    []string // nil: those of the token that the client may have
	From     Origin
}

// ExchangeToken exchanges an access token for another one of the same grant and
// session. The new token has no additional audience or scope, and no later expiry.
// The old token must be the client's own. A client with a secret may also exchange a
// token with one of its audiences.
func (s *Server) ExchangeToken(ctx context.Context, r ExchangeRequest) (*Tokens, *Error) {
	v, refusal := s.VerifyAccess(ctx, r.Token)
	switch {
	case refusal != nil && refusal.Kind == InvalidToken:
		return nil, s.refuseExchange(r, "", refusal)
	case refusal != nil:
		return nil, refusal
	case v.Claims.Grant == "" || v.Claims.License != License{}:
		return nil, s.refuseExchange(r, v.Claims.Grant, errors.New("without a user, or for the activation of a license"))
	}
	own := v.Claims.ClientID == r.Client.ID
	meant := slices.ContainsFunc(v.Claims.Audience, func(aud string) bool { return slices.Contains(r.Client.Audiences, aud) })
	if !own && (r.Client.Public || !meant) {
		return nil, s.refuseExchange(r, v.Claims.Grant, errors.New("issued to another client"))
	}
	if !r.Client.Accepts(v.User) {
		return nil, s.refuseExchange(r, v.Claims.Grant, errors.New("of a user whose sign-in method the client does not accept"))
	}
	audience, refusal := r.narrowAudience(v.Claims.Audience)
	if refusal != nil {
		return nil, refusal
	}
	actor := v.Claims.Actor
	if !own {
		actor = Actor{r.Client.ID}
	}
	key, _ := parseSessionID(v.Claims.SessionID)
	tokens, refusal := s.sign(ctx, tokenParams{
		client: r.Client, user: v.User, session: key, grant: v.Claims.Grant,
		scopes: r.narrowScopes(v.Claims.Scopes), audience: audience, actor: actor, until: time.Unix(v.Claims.Expires, 0),
	}, false)
	if refusal == nil {
		s.Audit.Record(Event{What: TokensIssued, User: v.User, Client: r.Client, Session: v.Session, Grant: v.Claims.Grant, From: r.From, Why: "token exchange"})
	}
	return tokens, refusal
}

// narrowAudience returns the audiences of the new token, all of which the old token has.
func (r ExchangeRequest) narrowAudience(had []string) ([]string, *Error) {
	if len(r.Audience) == 0 {
		narrowed := slices.DeleteFunc(slices.Clone(had), func(aud string) bool { return !slices.Contains(r.Client.Audiences, aud) })
		if len(narrowed) == 0 {
			return nil, MissingParam("audience")
		}
		return narrowed, nil
	}
	asked, refusal := r.Client.audience(r.Audience, false)
	if refusal != nil {
		return nil, refusal
	}
	if slices.ContainsFunc(asked, func(aud string) bool { return !slices.Contains(had, aud) }) {
		return nil, InvalidParam("audience", "should be one that the subject_token has.")
	}
	return asked, nil
}

// narrowScopes returns the scopes of the new token. offline stays: it describes the
// grant, not the rights of the token.
func (r ExchangeRequest) narrowScopes(had []string) []string {
	return slices.DeleteFunc(slices.Clone(had), func(scope string) bool {
		return scope != "offline" && (len(r.Client.grantable([]string{scope})) == 0 || r.Scope != nil && !slices.Contains(r.Scope, scope))
	})
}

func (s *Server) refuseExchange(r ExchangeRequest, grant string, cause error) *Error {
	s.Audit.Record(Event{What: TokenRefused, Client: r.Client, Grant: grant, From: r.From, Why: "token exchange"})
	return &Error{Kind: SubjectToken, Description: "Error getting the OAuth 2.0 token: the subject_token is invalid, expired, revoked, or not for this client.", Cause: cause}
}
