package oidc

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/page"
)

var authorizeParams = []string{
	"response_type", "response_mode", "client_id", "redirect_uri", "scope", "state", "audience",
	"code_challenge", "code_challenge_method", "nonce", "prompt", "max_age", "login_hint",
	"request", "request_uri", hintParam, sealedHintParam, authAfterParam, authSubjectParam, "handle", "customer_account_code",
}

// authAfterParam is a parameter of our own: the time at which a new sign-in was
// required, and, after a full stop, the ID of the session at that time.
const authAfterParam = oauth.AuthAfterParam

// authSubjectParam is a parameter of our own: the subject of an id_token_hint.
const authSubjectParam = "auth_subject"

// maxAge bounds max_age, in seconds. No session is older.
const maxAge = 100 * 365 * 24 * time.Hour

// ParseAuthorize parses the query of the authorization endpoint. The hosted page
// parses the same query, to come back here after the sign-in.
func ParseAuthorize(rawQuery string) (oauth.OpenIDRequest, *oauth.Error) {
	if len(rawQuery) > httpapi.MaxQuery {
		return oauth.OpenIDRequest{}, httpapi.ErrTooLong
	}
	p, refusal := parseParams(rawQuery, authorizeParams)
	if refusal != nil && (p["client_id"] == "" || p["redirect_uri"] == "") {
		return oauth.OpenIDRequest{}, refusal
	}
	r := oauth.OpenIDRequest{
		ResponseType:        strings.Join(oauth.SplitList(p["response_type"]), " "),
		ResponseMode:        p["response_mode"],
		ClientID:            p["client_id"],
		RedirectURI:         p["redirect_uri"],
		State:               p["state"],
		Scope:               oauth.SplitList(p["scope"]),
		Audience:            oauth.SplitList(p["audience"]),
		CodeChallenge:       p["code_challenge"],
		CodeChallengeMethod: p["code_challenge_method"],
		Nonce:               p["nonce"],
		Prompt:              oauth.SplitList(p["prompt"]),
		LoginHint:           p["login_hint"],
		IDTokenHint:         p[hintParam],
		SealedHint:          p[sealedHintParam],
		Subject:             p[authSubjectParam],
		RequestObject:       p["request"] != "",
		RequestURI:          p["request_uri"] != "",
		Handle:              p["handle"],
		CustomerAccount:     p["customer_account_code"],
		Malformed:           refusal,
	}
	if s := p["max_age"]; s != "" {
		seconds, err := strconv.ParseUint(s, 10, 63)
		if err != nil {
			r.Malformed = cmp.Or(r.Malformed, oauth.InvalidParam("max_age", "should be a number of seconds."))
		}
		age := time.Duration(min(seconds, uint64(maxAge/time.Second))) * time.Second //nolint:gosec // bounded
		r.MaxAge = &age
	}
	if s := p[authAfterParam]; s != "" {
		since, not, _ := strings.Cut(s, ".")
		after, err := oauth.ParseAuthAfter(since)
		if err != nil || since == "" {
			r.Malformed = cmp.Or(r.Malformed, oauth.InvalidParam(authAfterParam, "should be a time."))
		}
		r.AuthAfter, r.AuthNot = after, not
	}
	return r, nil
}

// authorize answers /oauth2/authorize: it checks the session, and redirects with a
// code, or, for licensed software, with tokens.
func (a *API) authorize(w http.ResponseWriter, r *http.Request) {
	if !a.navigated(w, r) {
		return
	}
	request, refusal := ParseAuthorize(r.URL.RawQuery)
	if refusal != nil {
		a.showRefusal(w, r, refusal)
		return
	}
	if request.SealedHint != "" {
		hint, refusal := a.unsealHint(r, request.SealedHint)
		if refusal != nil {
			a.showRefusal(w, r, refusal)
			return
		}
		request.IDTokenHint = cmp.Or(hint, "none of ours")
	}
	authorization, refusal := a.Server.CheckOpenID(r.Context(), request)
	switch {
	case refusal != nil && authorization != nil && refusal.Kind == oauth.Internal:
		a.failed(w, r, authorization, refusal)
		return
	case refusal != nil && authorization != nil:
		a.tell(w, r, authorization, refusal)
		return
	case refusal != nil:
		a.showRefusal(w, r, refusal)
		return
	}
	in, signedIn, refusal := httpapi.SignedIn(r, a.Server, a.Cookie)
	if refusal != nil {
		a.failed(w, r, authorization, refusal)
		return
	}
	if !signedIn || authorization.Confirm || !authorization.Accepts(in) {
		a.ask(w, r, authorization, in, signedIn)
		return
	}
	a.grant(w, r, authorization, in)
}

// ask redirects to the hosted page, unless the request forbids pages (prompt=none).
func (a *API) ask(w http.ResponseWriter, r *http.Request, authorization *oauth.Authorization, in oauth.SignedIn, signedIn bool) {
	switch {
	case !authorization.Silent:
		httpapi.Redirect(w, http.StatusFound, a.HostedPage(contented(r.URL.RawQuery, authorization, in)))
	case signedIn && !authorization.Expects(in.User):
		a.tell(w, r, authorization, &oauth.Error{Kind: oauth.LoginRequired, Description: "Another user is signed in than the id_token_hint names."})
	case signedIn && !authorization.AcceptsUser(in.User):
		a.tell(w, r, authorization, &oauth.Error{Kind: oauth.InteractionRequired, Description: "The user signed in with a method that is not allowed here."})
	default:
		a.tell(w, r, authorization, &oauth.Error{Kind: oauth.LoginRequired, Description: "There is no session, or it is too old."})
	}
}

// contented is the query of a request that is satisfied once the user was asked. It
// has no prompt, except consent. A required new sign-in becomes a fixed time, and an
// ID token becomes its subject, which is shorter and tells an access log less.
func contented(rawQuery string, authorization *oauth.Authorization, in oauth.SignedIn) string {
	query := httpapi.WithoutParams(rawQuery, "prompt", "max_age", hintParam, sealedHintParam, authAfterParam, authSubjectParam)
	if authorization.PromptConsent {
		query += "&prompt=consent" // the consent page answers it
	}
	if authorization.Subject != "" {
		query += "&" + encode(page.Field{Name: authSubjectParam, Value: authorization.Subject})
	}
	if after := authorization.AuthAfter; !after.IsZero() {
		query += "&" + authAfterParam + "=" + oauth.FormatAuthAfter(after)
		if in.Session != nil {
			query += "." + in.Session.ID()
		}
	}
	return query
}

// settled is the query of a request whose session suffices, however long the user
// reads the consent page: max_age becomes a fixed time.
func settled(rawQuery string, authorization *oauth.Authorization) string {
	query := httpapi.WithoutParams(rawQuery, "max_age")
	if query == rawQuery || authorization.AuthAfter.IsZero() {
		return rawQuery
	}
	return httpapi.WithoutParams(query, authAfterParam) + "&" + authAfterParam + "=" + oauth.FormatAuthAfter(authorization.AuthAfter)
}

// grant answers a request with a code or tokens. It uses up codes and seats only
// after all checks.
func (a *API) grant(w http.ResponseWriter, r *http.Request, authorization *oauth.Authorization, in oauth.SignedIn) {
	if link := authorization.License; link != nil {
		refusal := a.Server.CheckConsent(r.Context(), authorization, in)
		if refusal == nil {
			refusal = a.Server.Admit(r.Context(), link, in, a.From(r))
		}
		if refusal != nil && refusal.Kind == oauth.NoSeat && !authorization.Silent {
			httpapi.Redirect(w, http.StatusFound, a.SessionsPage(r.URL.RawQuery))
			return
		}
		if refusal != nil {
			a.failed(w, r, authorization, refusal)
			return
		}
	}
	answer, code, refusal := a.issue(r, authorization, in)
	if refusal != nil {
		a.failed(w, r, authorization, refusal)
		return
	}
	if link := authorization.License; link != nil {
		if refusal := a.Server.UseLink(r.Context(), link); refusal != nil {
			if code != "" {
				a.Server.DiscardCode(r.Context(), oauth.CodeRequest{
					Client: authorization.Client, Code: code, RedirectURI: authorization.RedirectURI, From: a.From(r),
				}, "its link cannot be used")
			}
			a.failed(w, r, authorization, refusal)
			return
		}
	}
	a.send(w, r, authorization, page.OutcomeSignedIn, answer)
}

// issue makes the parameters of an answer, and returns the code in it, if there is
// one.
func (a *API) issue(r *http.Request, authorization *oauth.Authorization, in oauth.SignedIn) (answer []page.Field, code string, refusal *oauth.Error) {
	own := []page.Field{{Name: "state", Value: authorization.State}, {Name: "iss", Value: a.Server.Issuer}}
	if !authorization.Token {
		code, refusal = a.Server.IssueCode(r.Context(), authorization, in, a.From(r))
		return append([]page.Field{{Name: "code", Value: code}}, own...), code, refusal
	}
	tokens, refusal := a.Server.IssueTokens(r.Context(), authorization, in, a.From(r))
	if refusal != nil {
		return nil, "", refusal
	}
	return append([]page.Field{
		{Name: "access_token", Value: tokens.Access},
		{Name: "token_type", Value: "Bearer"},
		{Name: "expires_in", Value: strconv.FormatInt(int64(tokens.ExpiresIn.Seconds()), 10)},
		{Name: "id_token", Value: tokens.ID},
	}, own...), "", nil
}

// failed answers an error of a valid request, or a question to the user that has to
// come first. The user sees it, unless the request forbids pages.
func (a *API) failed(w http.ResponseWriter, r *http.Request, authorization *oauth.Authorization, e *oauth.Error) {
	switch {
	case authorization.Silent:
		a.tell(w, r, authorization, e)
	case e.Kind == oauth.ConsentRequired:
		httpapi.Redirect(w, http.StatusFound, a.ConsentPage(settled(r.URL.RawQuery, authorization)))
	default:
		a.showRefusal(w, r, e)
	}
}

// send sends the browser to the redirect URI with an answer, without its empty
// fields: by a redirect, or, with response mode form_post, by a form. An application
// with a custom scheme opens beside the browser, and the page stays. So the browser
// gets a page with the link, in case the application does not open.
func (a *API) send(w http.ResponseWriter, r *http.Request, authorization *oauth.Authorization, outcome page.Outcome, answer []page.Field) {
	answer = present(answer)
	app := authorization.Client.Name
	switch {
	case authorization.FormPost:
		a.Pages.FormPost(w, r, page.FormPost{
			Title: outcome.Title(), App: app, ActionURL: authorization.RedirectURI, Fields: answer, Origins: authorization.Client.Origins(),
		})
	case authorization.CustomScheme():
		a.Pages.Application(w, r, page.Application{Outcome: outcome, App: app, URL: authorization.Answer(encode(answer...))})
	default:
		httpapi.Redirect(w, http.StatusFound, authorization.Answer(encode(answer...)))
	}
}

// present returns the fields of an answer that are not empty.
func present(answer []page.Field) []page.Field {
	return slices.DeleteFunc(answer, func(f page.Field) bool { return f.Value == "" })
}
