package loginapi

import (
	"errors"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/page"
)

// refusals maps each kind of error to its status and code in this API. Each HTTP API
// has a table of its own, since their codes have nothing in common. A test fails if a
// kind is missing in one.
var refusals = map[oauth.Kind]struct {
	status int
	code   string
}{
	oauth.Internal:        {http.StatusTeapot, "004-001"},
	oauth.InvalidRequest:  {http.StatusBadRequest, "0"},
	oauth.InvalidState:    {http.StatusBadRequest, "010-022"},
	oauth.UnknownClient:   {http.StatusNotFound, "003-061"},
	oauth.UnknownProject:  {http.StatusNotFound, "003-019"},
	oauth.ClientDisabled:  {http.StatusUnprocessableEntity, "003-020"},
	oauth.ClientAuth:      {http.StatusBadRequest, "010-019"},
	oauth.InvalidGrant:    {http.StatusBadRequest, "010-023"},
	oauth.LoginRequired:   {http.StatusUnauthorized, "003-040"},
	oauth.WrongPassword:   {http.StatusUnauthorized, "003-001"},
	oauth.Denied:          {http.StatusUnauthorized, "010-026"},
	oauth.TooManyAttempts: {http.StatusTooManyRequests, "002-057"},
	oauth.TooManyCodes:    {http.StatusTooManyRequests, "002-058"},
	oauth.InvalidToken:    {http.StatusUnauthorized, "002-016"},

	oauth.UnauthorizedClient:   {http.StatusUnprocessableEntity, "003-020"},
	oauth.UnknownProvider:      {http.StatusNotFound, "003-061"},
	oauth.ProviderFailed:       {http.StatusUnprocessableEntity, "010-015"},
	oauth.Misconfigured:        {http.StatusUnprocessableEntity, "003-022"},
	oauth.ConsentRequired:      {http.StatusUnauthorized, "003-040"}, // auth leads to the consent page
	oauth.SubjectToken:         {http.StatusUnauthorized, "003-025"},
	oauth.UnsupportedTokenType: {http.StatusBadRequest, "0"},
	oauth.UnsupportedGrantType: {http.StatusBadRequest, "0"},

	// No endpoint of this API returns these.
	oauth.InteractionRequired:     {http.StatusUnauthorized, "003-040"},
	oauth.UnsupportedResponseType: {http.StatusBadRequest, "0"},
	oauth.RequestObject:           {http.StatusBadRequest, "0"},
	oauth.RequestObjectURI:        {http.StatusBadRequest, "0"},
	oauth.LinkSpent:               {http.StatusBadRequest, "0"},
	oauth.NoSeat:                  {http.StatusUnauthorized, "010-026"},
	oauth.Unprovisioned:           {http.StatusTeapot, "004-001"},
	oauth.UnknownProduct:          {http.StatusNotFound, "003-061"},
	oauth.UnknownAccount:          {http.StatusNotFound, "003-061"},
}

// Refusal is the status and code of an error of package oauth in this API.
func Refusal(e *oauth.Error) (status int, code string) {
	refusal := refusals[e.Kind]
	if e.Kind == oauth.InvalidToken && errors.Is(e, oauth.ErrUserGone) {
		refusal.code = "002-040"
	}
	return refusal.status, refusal.code
}

// refuse renders an error of package oauth. It logs an internal error, once, with its
// cause.
func (a *API) refuse(w http.ResponseWriter, r *http.Request, e *oauth.Error) {
	status, code := Refusal(e)
	if e.Kind == oauth.Internal {
		a.Log.Error("answering the Login API", zap.Error(e))
	}
	if e.Client != nil {
		a.Server.AuditUnregistered(e, a.From(r))
	}
	a.writeError(w, r, status, code, e)
}

// details names each wrong parameter and its fault.
func details(e *oauth.Error) map[string]string {
	problems := make(map[string]string, len(e.Params))
	for _, p := range e.Params {
		problems[p.Name] = p.Problem
	}
	return problems
}

// Unavailable answers for an API that cannot work yet because of err. It uses only
// the field Log.
func (a *API) Unavailable(w http.ResponseWriter, r *http.Request, err error) {
	refusal := oauth.Unavailable(err)
	refusal.RetryAfter = time.Second
	if r.URL.Path == authPath {
		httpapi.Refresh(w.Header(), r, refusal.RetryAfter)
	}
	a.refuse(w, r, refusal)
}

type errorBody struct {
	Error errorObject `json:"error"`
}

type errorObject struct {
	Code        string            `json:"code"`
	Description string            `json:"description"`
	Details     map[string]string `json:"details"` // by the name of a parameter; an object in any case
}

// writeError answers with the error body of this API. A browser that navigates gets a
// page instead.
func (a *API) writeError(w http.ResponseWriter, r *http.Request, status int, code string, e *oauth.Error) {
	if httpapi.IsNavigation(r.Header) {
		a.showError(w, r, status, code, e)
		return
	}
	httpapi.RetryAfter(w.Header(), e.RetryAfter)
	httpapi.WriteJSON(w, status, errorBody{errorObject{Code: code, Description: e.Description, Details: details(e)}})
}

func (a *API) showError(w http.ResponseWriter, r *http.Request, status int, code string, e *oauth.Error) {
	m := page.Message{RetryAfter: e.RetryAfter, Reference: code}
	switch e.Kind {
	case oauth.Internal:
		m.Fault, m.Retry = page.FaultUnavailable, page.RetryOf(r)
	case oauth.TooManyCodes:
		m.Fault, m.Retry = page.FaultTooManySignIns, page.RetryOf(r)
	case oauth.ClientDisabled:
		m.Fault = page.FaultAppDisabled
	default:
		m.Fault, m.Reference = page.FaultBadRequest, code+": "+e.Description
	}
	a.Pages.MessageOnce(w, r, status, m)
}
