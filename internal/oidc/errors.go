package oidc

import (
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/page"
)

// refusals maps each kind of error to its status and error code in this API (RFC 6749
// sections 4.1.2.1 and 5.2, OpenID Connect Core section 3.1.2.6).
// Each HTTP API has a table of its own. A test fails if a kind is missing in one.
var refusals = map[oauth.Kind]struct {
	status int
	code   string
}{
	oauth.Internal:                {http.StatusServiceUnavailable, "server_error"},
	oauth.InvalidRequest:          {http.StatusBadRequest, "invalid_request"},
	oauth.InvalidState:            {http.StatusBadRequest, "invalid_request"},
	oauth.UnknownClient:           {http.StatusBadRequest, "invalid_client"},
	oauth.UnknownProject:          {http.StatusBadRequest, "invalid_request"},
	oauth.ClientDisabled:          {http.StatusBadRequest, "invalid_client"},
	oauth.ClientAuth:              {http.StatusBadRequest, "invalid_client"},
	oauth.InvalidGrant:            {http.StatusBadRequest, "invalid_grant"},
	oauth.LoginRequired:           {http.StatusUnauthorized, "login_required"},
	oauth.InteractionRequired:     {http.StatusUnauthorized, "interaction_required"},
	oauth.ConsentRequired:         {http.StatusForbidden, "consent_required"},
	oauth.WrongPassword:           {http.StatusUnauthorized, "access_denied"},
	oauth.Denied:                  {http.StatusForbidden, "access_denied"},
	oauth.TooManyAttempts:         {http.StatusTooManyRequests, "temporarily_unavailable"},
	oauth.TooManyCodes:            {http.StatusTooManyRequests, "temporarily_unavailable"},
	oauth.InvalidToken:            {http.StatusUnauthorized, "invalid_token"},
	oauth.UnauthorizedClient:      {http.StatusBadRequest, "unauthorized_client"},
	oauth.UnsupportedResponseType: {http.StatusBadRequest, "unsupported_response_type"},
	oauth.UnsupportedTokenType:    {http.StatusBadRequest, "unsupported_token_type"},
	oauth.UnsupportedGrantType:    {http.StatusBadRequest, "unsupported_grant_type"},
	oauth.RequestObject:           {http.StatusBadRequest, "request_not_supported"},
	oauth.RequestObjectURI:        {http.StatusBadRequest, "request_uri_not_supported"},
	oauth.LinkSpent:               {http.StatusGone, "invalid_request"},
	oauth.NoSeat:                  {http.StatusForbidden, "interaction_required"},
	oauth.Unprovisioned:           {http.StatusServiceUnavailable, "temporarily_unavailable"},
	oauth.UnknownProduct:          {http.StatusBadRequest, "invalid_request"},
	oauth.UnknownAccount:          {http.StatusBadRequest, "invalid_request"},

	// No endpoint of this API returns these.
	oauth.UnknownProvider: {http.StatusBadRequest, "invalid_request"},
	oauth.ProviderFailed:  {http.StatusServiceUnavailable, "temporarily_unavailable"},
	oauth.Misconfigured:   {http.StatusServiceUnavailable, "server_error"},
	oauth.SubjectToken:    {http.StatusBadRequest, "invalid_grant"},
}

// Refusal is the status and error code of an error of package oauth in this API.
func Refusal(e *oauth.Error) (status int, code string) {
	return refusals[e.Kind].status, refusals[e.Kind].code
}

type errorBody struct {
	Error       string `json:"error"`
	Description string `json:"error_description"`
}

// logged logs an internal error, once, with its cause, and audits unregistered values
// of a request.
func (a *API) logged(r *http.Request, e *oauth.Error) {
	if e.Client != nil {
		a.Server.AuditUnregistered(e, a.From(r))
	}
	if e.Kind == oauth.Internal || e.Kind == oauth.Unprovisioned {
		a.Log.Error("answering OpenID Connect", zap.Error(e))
	}
}

// refuse renders an error of package oauth as JSON.
func (a *API) refuse(w http.ResponseWriter, r *http.Request, e *oauth.Error) {
	a.logged(r, e)
	refusal := refusals[e.Kind]
	// A client that uses HTTP authentication gets a challenge (RFC 6749 section 5.2).
	if refusal.code == "invalid_client" && r.Header.Get("Authorization") != "" {
		refusal.status = http.StatusUnauthorized
		w.Header().Set("Www-Authenticate", `Basic realm="OAuth 2.0 client", charset="UTF-8"`)
	}
	httpapi.RetryAfter(w.Header(), e.RetryAfter)
	httpapi.WriteJSON(w, refusal.status, errorBody{refusal.code, e.Description})
}

// tell sends an error to the redirect URI (RFC 6749 section 4.1.2.1).
func (a *API) tell(w http.ResponseWriter, r *http.Request, authorization *oauth.Authorization, e *oauth.Error) {
	a.logged(r, e)
	a.send(w, r, authorization, page.OutcomeRefused, a.refusal(authorization, e))
}

// refusal is the answer with an error.
func (a *API) refusal(authorization *oauth.Authorization, e *oauth.Error) []page.Field {
	return []page.Field{
		{Name: "error", Value: refusals[e.Kind].code},
		{Name: "error_description", Value: e.Description},
		{Name: "state", Value: authorization.State},
		{Name: "iss", Value: a.Server.Issuer},
	}
}

// Deny tells the client that the user denied the request. It answers the form of the
// consent page, so it uses a page with a link: see [page.Continue].
func (a *API) Deny(w http.ResponseWriter, r *http.Request, authorization *oauth.Authorization) {
	answer := present(a.refusal(authorization, oauth.NotAllowed()))
	if authorization.FormPost || authorization.CustomScheme() {
		a.send(w, r, authorization, page.OutcomeNotAllowed, answer)
		return
	}
	a.Pages.Continue(w, r, page.Continue{Title: page.DoneNotAllowed, App: authorization.Client.Name, URL: authorization.Answer(encode(answer...))})
}

// showRefusal renders an error of package oauth as a page.
func (a *API) showRefusal(w http.ResponseWriter, r *http.Request, e *oauth.Error) {
	a.showProblem(w, r, refusals[e.Kind].status, e)
}

func (a *API) showProblem(w http.ResponseWriter, r *http.Request, status int, e *oauth.Error) {
	a.logged(r, e)
	m := page.Message{RetryAfter: e.RetryAfter}
	switch e.Kind {
	case oauth.Internal:
		m.Fault, m.Retry = page.FaultUnavailable, page.RetryOf(r)
	case oauth.Unprovisioned:
		m.Fault, m.Retry = page.FaultLicenseNotReady, page.RetryOf(r)
	case oauth.TooManyCodes:
		m.Fault, m.Link = page.FaultTooManySignIns, again(r)
	case oauth.LinkSpent:
		m.Fault = page.FaultLinkUsed
	case oauth.UnknownAccount:
		m = page.NoCustomer()
	case oauth.ClientDisabled:
		m.Fault = page.FaultAppDisabled
	default:
		m.Fault, m.Reference = page.FaultBadRequest, e.Description
	}
	a.Pages.MessageOnce(w, r, status, m)
}

// again is a link that sends the same request again.
func again(r *http.Request) *page.Link {
	return &page.Link{Label: page.LinkTryAgain, URL: r.URL.Path + "?" + r.URL.RawQuery}
}

// Unavailable answers for an API that cannot work yet because of err. It uses only
// the fields Pages and Log.
func (a *API) Unavailable(w http.ResponseWriter, r *http.Request, err error) {
	e := oauth.Unavailable(err)
	e.RetryAfter = time.Second
	if path := r.URL.Path; strings.HasPrefix(path, authorizePath) || strings.HasPrefix(path, endSessionPath) {
		a.showRefusal(w, r, e)
		return
	}
	a.refuse(w, r, e)
}
