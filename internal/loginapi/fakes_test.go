package loginapi_test

import (
	"net/http"
	"net/url"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/session"
)

const password = "right"

// passwordSignIn stands for the hosted page's: ada has a password, and other
// names say what is to go wrong.
func (w *world) passwordSignIn(rw http.ResponseWriter, r *http.Request, _ *oauth.Authorization, name, given string) (oauth.SignedIn, *oauth.Error) {
	w.asked.Add(1)
	switch {
	case name == "limited":
		return oauth.SignedIn{}, &oauth.Error{Kind: oauth.TooManyAttempts, Description: "Too many attempts.", RetryAfter: 90 * time.Second}
	case name == "busy":
		return oauth.SignedIn{}, &oauth.Error{Kind: oauth.Internal, Description: "Too many sign-ins at once.", RetryAfter: 5 * time.Second}
	case name == "providers only":
		return oauth.SignedIn{}, &oauth.Error{Kind: oauth.UnauthorizedClient, Description: "This call is not available for the project: nobody signs in with a password."}
	case name != ada.Name || given != password:
		return oauth.SignedIn{}, &oauth.Error{Kind: oauth.WrongPassword, Description: "Wrong username or password."}
	}
	before, _ := w.api.Cookie.Value(r)
	token, s, err := w.Server.BeginSession(r.Context(), session.SignIn{User: ada}, before)
	if err != nil {
		return oauth.SignedIn{}, &oauth.Error{Kind: oauth.Internal, Description: "Something went wrong.", Cause: err}
	}
	w.api.Cookie.Set(rw, token.Encode(), time.Hour)
	return oauth.SignedIn{Session: s, User: ada}, nil
}

// leave stands for the hosted page's: acme is a provider, and down does not
// answer.
func leave(_ http.ResponseWriter, _ *http.Request, _ *oauth.Authorization, rawQuery, id string) (string, *oauth.Error) {
	switch id {
	case "acme":
		return "https://acme.example/authorize?goes_on_with=" + url.QueryEscape(rawQuery), nil
	case "down":
		return "", &oauth.Error{Kind: oauth.ProviderFailed, Description: "The provider does not answer.", RetryAfter: time.Second}
	}
	return "", &oauth.Error{Kind: oauth.UnknownProvider, Description: "Object not found: there is no such provider."}
}
