package portal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/session"
)

// A Request is a kind of authorization request that people sign in for.
type Request struct {
	// Page is the path of its sign-in page, and Continue the path that continues with
	// the request. Both get its query.
	Page, Continue string

	// Consent is the path of its consent page, which gets the same query.
	Consent string

	// Check parses the query and compares it with the client's registration. An error is
	// shown on the page, not sent to the client by a redirect.
	Check func(ctx context.Context, rawQuery string) (*oauth.Authorization, *oauth.Error)

	// Deny answers the form of the consent page if the user does not allow what the
	// application asks for.
	Deny func(w http.ResponseWriter, r *http.Request, a *oauth.Authorization)
}

// A transaction is one sign-in attempt in one tab. It travels sealed in the form. The
// server stores it only when it succeeded, so that it is used once.
type transaction struct {
	ID      string `json:"i"`
	Browser string `json:"b"` // the browser that it is bound to
	Begun   int64  `json:"t"` // Unix seconds

	// The path and the query of the sign-in page: the context of the sign-in. They
	// are bytes, which JSON makes longer by a third, whatever they contain.
	Page  string `json:"p"`
	Query []byte `json:"q,omitempty"`

	// Another is set if the user wants another account than the last one.
	Another bool `json:"s,omitempty"`
}

const (
	transactionLabel    = "sign-in transaction"
	transactionLifetime = time.Hour

	// maxContext bounds the query that the hosted page remembers, in bytes: a sealed
	// value has a bound, too. The longest path that a gate accepts fits in sealed
	// form.
	maxContext = 34 << 10
)

func (h *Hosted) newTransaction(b knownDevice, p signInContext, another bool) transaction {
	return transaction{
		ID: newDevice().ID, Browser: b.ID, Begun: h.Now().Unix(), Page: p.page, Query: []byte(p.query), Another: another,
	}
}

// seal seals a transaction under a label, so that it opens only under that label.
func seal(ctx context.Context, ring *keys.Ring, label string, t any) (string, error) {
	plain, err := json.Marshal(t)
	if err != nil {
		return "", fmt.Errorf("sealing a transaction: %w", err)
	}
	sealed, err := ring.Seal(ctx, label, plain)
	if err != nil {
		return "", fmt.Errorf("sealing a transaction: %w", err)
	}
	return sealed, nil
}

func (t transaction) expired(now time.Time) bool {
	age := now.Sub(time.Unix(t.Begun, 0))
	return age > transactionLifetime || age < -time.Minute
}

func (t transaction) key() string { return "signin:" + t.ID }

// useOnce marks a transaction as used, and reports whether this is the first use.
func (h *Hosted) useOnce(ctx context.Context, t transaction) (bool, error) {
	first, err := h.Store.CompareAndSwap(ctx, t.key(), nil, []byte{1}, transactionLifetime+time.Minute)
	if err != nil {
		return false, fmt.Errorf("using a transaction: %w", err)
	}
	return first, nil
}

// A signInContext is what a sign-in is for: an application, a path of a gate, or the
// portal itself.
type signInContext struct {
	page, query string // of the sign-in page

	request       *Request // nil: no authorization request
	authorization *oauth.Authorization
	returnTo      string    // a path on the portal's own origin, or ""
	after         time.Time // without an authorization: since when the user must have been authenticated
	asks          string    // the name of the application whose gate asks for that
	methods       []string  // without an authorization: the IDs of the allowed methods; empty: all
}

// GateReturnLabel seals, for ReturnParam, the ID of a client with a gate on the
// portal's own origin, and the path there, which begins with a slash.
const GateReturnLabel = "return to a gate"

// ReturnLabel seals only the path, as the previous release did.
const ReturnLabel = "return"

// The parameters of the sign-in page itself.
const (
	ReturnParam = "return" // a sealed path on the portal's origin
	switchParam = "switch" // 1: ask although a user is signed in
)

// authAfter is the time since when the user must have been authenticated; zero: any time.
func (p *signInContext) authAfter() time.Time {
	if p.authorization != nil {
		return p.authorization.AuthAfter
	}
	return p.after
}

// accepts reports whether a session suffices for the context.
func (p *signInContext) accepts(in oauth.SignedIn) bool {
	if p.authorization != nil {
		return p.authorization.Accepts(in)
	}
	return p.after.IsZero() || oauth.AuthenticatedSince(in.Session, p.after)
}

// acceptsUser reports whether a user may have the session that the context is for.
func (p *signInContext) acceptsUser(u session.User) bool {
	return p.authorization == nil || p.authorization.AcceptsUser(u)
}

// contextOf reads the context of a sign-in from the address of its page.
func (h *Hosted) contextOf(ctx context.Context, page, rawQuery string) (signInContext, *oauth.Error) {
	p := signInContext{page: page, query: rawQuery, methods: h.CommonMethods}
	values, err := httpapi.ParseQuery(rawQuery)
	switch {
	case err != nil:
		return signInContext{}, &oauth.Error{Kind: oauth.InvalidRequest, Description: "The address is not URL-encoded."}
	case len(rawQuery) > maxContext:
		return signInContext{}, &oauth.Error{Kind: oauth.InvalidRequest, Description: "The address is too long."}
	case page != SignInPath || values.Has("client_id"):
		i := slices.IndexFunc(h.Requests, func(r Request) bool { return r.Page == page })
		if i < 0 {
			return signInContext{}, &oauth.Error{Kind: oauth.InvalidRequest, Description: "Such requests are not taken here."}
		}
		authorization, refusal := h.Requests[i].Check(ctx, rawQuery)
		if refusal != nil {
			return signInContext{}, refusal
		}
		p.request, p.authorization = &h.Requests[i], authorization
		return p, nil
	}
	if sealed := values.Get(ReturnParam); sealed != "" {
		plain, err := h.Keys.UnsealAny(ctx, sealed, GateReturnLabel, ReturnLabel)
		if errors.Is(err, keys.ErrSealed) {
			return signInContext{}, &oauth.Error{Kind: oauth.InvalidRequest, Description: "The address was changed on its way.", Cause: err}
		}
		if err != nil {
			return signInContext{}, &oauth.Error{Kind: oauth.Internal, Description: "Something went wrong.", Cause: err}
		}
		if p.after, err = oauth.ParseAuthAfter(values.Get(oauth.AuthAfterParam)); err != nil {
			return signInContext{}, &oauth.Error{Kind: oauth.InvalidRequest, Description: "The address was changed on its way.", Cause: err}
		}
		id, path, _ := strings.Cut(string(plain), "/")
		p.returnTo = "/" + path
		if client, known := h.Server.Clients.Get(id); known {
			p.methods = client.Methods
			if !p.after.IsZero() {
				p.asks = client.Name
			}
		}
	}
	return p, nil
}

// continueURL returns the address that the browser continues to after the sign-in.
func (h *Hosted) continueURL(p signInContext) string {
	switch {
	case p.request != nil:
		query := p.query
		if p.authorization.OpenID {
			// The user was asked. To ask again would be a loop. The consent page
			// comes after this one.
			query = httpapi.WithoutParams(query, "prompt")
			if p.authorization.PromptConsent {
				query += "&prompt=consent"
			}
		}
		return p.request.Continue + "?" + query
	case p.returnTo != "":
		// With the origin, since a path may begin with two slashes.
		return h.Server.Issuer + p.returnTo
	}
	return AccountPath
}

// address is that of the sign-in page for the same context, with another to
// sign in with another account.
func (p signInContext) address(another bool) string {
	page, query := p.page, p.query
	if page == "" {
		page = SignInPath
	}
	if another && !wantsSwitch(query) {
		query = oauth.AppendQuery("?"+query, switchParam+"=1")[1:]
	}
	if query == "" {
		return page
	}
	return page + "?" + query
}

// wantsSwitch reports whether a sign-in page asks although a user is signed in.
func wantsSwitch(rawQuery string) bool {
	values, err := httpapi.ParseQuery(rawQuery)
	return err == nil && values.Get(switchParam) == "1"
}

// allowed returns the IDs of the sign-in methods that this sign-in may use; empty: all
// of them.
func (p signInContext) allowed() []string {
	if p.authorization != nil {
		return p.authorization.Methods
	}
	return p.methods
}

// client returns the application of the context, nil if there is none.
func (p signInContext) client() *oauth.Client {
	if p.authorization == nil {
		return nil
	}
	return p.authorization.Client
}

func (p signInContext) app() string {
	if c := p.client(); c != nil {
		return c.Name
	}
	return p.asks
}
