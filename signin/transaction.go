package signin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/caddy-sso/caddy-sso/keys"
	"github.com/caddy-sso/caddy-sso/oauth"
)

// A transaction is one sign-in attempt in one tab. It travels sealed in the
// form; the server remembers it only once it succeeded, to make it single-use.
type transaction struct {
	ID      string `json:"i"`
	Browser string `json:"b"` // the browser that it is bound to
	Begun   int64  `json:"t"` // Unix seconds

	// What the sign-in is for: the query of an authorization request, or a
	// page on the portal's own origin, or neither. As bytes, of which JSON makes
	// a third more whatever they are.
	Query  []byte `json:"q,omitempty"`
	Return []byte `json:"r,omitempty"`
}

const (
	transactionPurpose  = "sign-in transaction"
	transactionLifetime = time.Hour

	// maxPurpose bounds, in bytes, the query of an authorization request that
	// the hosted page remembers: a sealed value has a bound, too.
	maxPurpose = 32 << 10
)

func (h *Hosted) sealTransaction(ctx context.Context, t transaction) (string, error) {
	plain, err := json.Marshal(t)
	if err != nil {
		return "", fmt.Errorf("sealing a transaction: %w", err)
	}
	sealed, err := h.Keys.Seal(ctx, transactionPurpose, plain)
	if err != nil {
		return "", fmt.Errorf("sealing a transaction: %w", err)
	}
	return sealed, nil
}

func (t transaction) expired(now time.Time) bool {
	age := now.Sub(time.Unix(t.Begun, 0))
	return age > transactionLifetime || age < -time.Minute
}

// once marks a transaction as used, and says whether it was not before.
func (h *Hosted) once(ctx context.Context, t transaction) (bool, error) {
	first, err := h.Store.CompareAndSwap(ctx, "signin:"+t.ID, nil, []byte{1}, transactionLifetime+time.Minute)
	if err != nil {
		return false, fmt.Errorf("using a transaction: %w", err)
	}
	return first, nil
}

// A purpose is what a sign-in is for, as its page and its end need it.
type purpose struct {
	query         string
	returnTo      string
	authorization *oauth.Authorization // nil unless query is set
}

// ReturnPurpose seals a path on the portal's own origin for ReturnParam.
const ReturnPurpose = "return"

// The parameters of the sign-in page itself.
const (
	ReturnParam = "return" // a sealed path on the portal's origin
	switchParam = "switch" // 1: ask even though somebody is signed in
)

// purposeOf reads what a sign-in is for from the query of its page.
func (h *Hosted) purposeOf(ctx context.Context, rawQuery string) (purpose, *oauth.Error) {
	values, err := url.ParseQuery(rawQuery)
	if err != nil {
		return purpose{}, &oauth.Error{Kind: oauth.InvalidRequest, Description: "The address is not URL-encoded."}
	}
	if values.Has("client_id") {
		if len(rawQuery) > maxPurpose {
			return purpose{}, &oauth.Error{Kind: oauth.InvalidRequest, Description: "The address is too long."}
		}
		authorization, refusal := h.Check(rawQuery)
		if refusal != nil {
			return purpose{}, refusal
		}
		return purpose{query: rawQuery, authorization: authorization}, nil
	}
	if sealed := values.Get(ReturnParam); sealed != "" {
		plain, err := h.Keys.Unseal(ctx, ReturnPurpose, sealed)
		if errors.Is(err, keys.ErrSealed) {
			return purpose{}, &oauth.Error{Kind: oauth.InvalidRequest, Description: "The address was changed on its way.", Cause: err}
		}
		if err != nil {
			return purpose{}, &oauth.Error{Kind: oauth.Internal, Description: "Something went wrong.", Cause: err}
		}
		return purpose{returnTo: string(plain)}, nil
	}
	return purpose{}, nil
}

// continueURL is where the browser goes when it has a session.
func (h *Hosted) continueURL(p purpose) string {
	switch {
	case p.query != "":
		return "/api/oauth2/auth?" + p.query
	case p.returnTo != "":
		// With the origin, since a path may begin with two slashes.
		return h.Server.Issuer + p.returnTo
	}
	return AccountPath
}

// signInURL is the sign-in page for the same purpose, with what else it needs.
func signInURL(rawQuery string, another bool) string {
	if another {
		rawQuery = oauth.AppendQuery("?"+rawQuery, switchParam+"=1")[1:]
	}
	if rawQuery == "" {
		return SignInPath
	}
	return SignInPath + "?" + rawQuery
}

// client is the application that asked, nil where none did.
func (p purpose) client() *oauth.Client {
	if p.authorization == nil {
		return nil
	}
	return p.authorization.Client
}

func (p purpose) app() string {
	if c := p.client(); c != nil {
		return c.Name
	}
	return ""
}
