package adminapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/caddy-sso/caddy-sso/caddymodule/internal/appruntime"
	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/loginapi"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/oidc"
	"github.com/caddy-sso/caddy-sso/internal/portal"
)

// A RequestCheck explains the answer to an authorization URL. It is for the operator:
// unlike an answer to the client it names what is registered.
type RequestCheck struct {
	Lines   []string `json:"lines"`
	Refused bool     `json:"refused,omitempty"`
}

// say adds a line. The URL may come from an attacker, and the line is printed on a
// terminal, so invisible characters are replaced.
func (c *RequestCheck) say(format string, values ...any) {
	c.Lines = append(c.Lines, printableText(fmt.Sprintf(format, values...)))
}

func printableText(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return utf8.RuneError
		}
		return r
	}, text)
}

// checkRequest answers POST /sso/check. The URL is in the body, since it may have
// secrets, and addresses are logged. Nothing is issued, stored or used up.
func (a API) checkRequest(w http.ResponseWriter, r *http.Request) error {
	return a.withRuntime(w, r, http.MethodPost, func(c *appruntime.Runtime) error {
		raw, err := httpapi.Body(w, r, httpapi.MaxQuery+1024)
		if err != nil {
			return adminError(httpapi.BodyStatus(err), errors.New("the URL could not be read, or is too long"))
		}
		u, err := url.Parse(strings.TrimSpace(string(raw)))
		if err != nil {
			return adminError(http.StatusBadRequest, errors.New("the request is not a URL; quote it for the shell, as in --request 'https://…'"))
		}
		check, err := explain(r.Context(), c, u)
		if err != nil {
			return adminError(http.StatusBadRequest, err)
		}
		return writeAnswer(w, check)
	})
}

// explain returns the check of a URL.
func explain(ctx context.Context, c *appruntime.Runtime, u *url.URL) (*RequestCheck, error) {
	check := new(RequestCheck)
	if u.Host != "" && oauth.OriginOf(u) != c.Server.Issuer {
		check.say("The URL is for %s, but the issuer is %s: a request comes to this portal only if both are the same.", oauth.OriginOf(u), c.Server.Issuer)
	}
	switch httpapi.CanonicalPath(u.Path) {
	case "/api/oauth2/auth", portal.SignInPath:
		explainLogin(c, check, u.RawQuery, false)
	case "/api/oauth2/sso":
		explainLogin(c, check, u.RawQuery, true)
	case "/oauth2/authorize", portal.OpenIDPath:
		explainOpenID(ctx, c, check, u.RawQuery)
	default:
		return nil, fmt.Errorf("%s is not the path of an authorization request; expected /api/oauth2/auth, /api/oauth2/sso or /oauth2/authorize, with its query", printableText(u.Path))
	}
	return check, nil
}

func explainLogin(c *appruntime.Runtime, check *RequestCheck, rawQuery string, script bool) {
	check.say("This is a request of the Login API.")
	request, refusal := loginapi.ParseAuthorize(rawQuery)
	if script {
		request = c.Server.Clients.Defaults(request)
	}
	var a *oauth.Authorization
	if refusal == nil {
		a, refusal = c.Server.Clients.CheckAuthorize(request)
	}
	check.client(c.Server.Clients, request.ClientID)
	if refusal != nil {
		status, code := loginapi.Refusal(refusal)
		check.refuse(refusal, fmt.Sprintf("%d, code %s", status, code))
		return
	}
	callback := a.Callback("…")
	check.consent(a, script)
	switch {
	case script:
		check.say("With a session: 200, with login_url %s", callback)
		check.say("Without a session: 401, code 003-040.")
	case a.Presentation.Popup:
		check.say("With a session: 302 to the widget page, which leads to %s", callback)
	default:
		check.say("With a session: 302 to %s", callback)
	}
	switch {
	case script:
	case a.FailAuthURL != "":
		check.say("Without a session: 302 to %s with error=login_required and resume.", a.FailAuthURL)
	default:
		check.say("Without a session: 302 to the sign-in page, %s", c.Server.Issuer+portal.SignInPath)
	}
	check.granted(a, request.Scope)
}

func explainOpenID(ctx context.Context, c *appruntime.Runtime, check *RequestCheck, rawQuery string) {
	check.say("This is a request of OpenID Connect.")
	request, refusal := oidc.ParseAuthorize(rawQuery)
	var a *oauth.Authorization
	if refusal == nil {
		a, refusal = c.Server.CheckOpenID(ctx, request)
	}
	check.client(c.Server.Clients, request.ClientID)
	if refusal != nil {
		status, code := oidc.Refusal(refusal)
		answer := fmt.Sprintf("a page with status %d", status)
		if a != nil {
			answer = fmt.Sprintf("error=%s, told to %s", code, a.RedirectURI)
		}
		check.refuse(refusal, answer)
		return
	}
	check.consent(a, a.Silent)
	what := "code"
	if a.Token {
		what = "tokens"
	}
	how := "302 to " + a.RedirectURI
	if a.FormPost {
		how = "a page that posts to " + a.RedirectURI
	}
	check.say("With a session: %s with %s, state and iss.", how, what)
	if a.Confirm || !a.AuthAfter.IsZero() {
		check.say("The user is asked first, since the request has prompt or max_age.")
	}
	if a.Silent {
		check.say("Without a session: error=login_required, since prompt=none shows nothing.")
	} else {
		check.say("Without a session: 302 to the sign-in page, %s", c.Server.Issuer+portal.OpenIDPath)
	}
	check.granted(a, request.Scope)
}

// client adds the client of the request.
func (c *RequestCheck) client(clients *oauth.Clients, id string) {
	if client, known := clients.Get(id); known {
		kind := "with a secret"
		if client.Public {
			kind = "public"
		}
		c.say("The client is %s, %q, %s.", client.ID, client.Name, kind)
	}
}

// refuse adds the answer to the request, and all errors in it.
func (c *RequestCheck) refuse(e *oauth.Error, answer string) {
	c.Refused = true
	c.say("It is refused: %s. %s", answer, e.Description)
	for _, p := range e.Params {
		line := "  " + p.Name
		if p.Value != "" {
			line += fmt.Sprintf(" %q", p.Value)
		}
		line += ": " + p.Problem
		if p.Value != "" {
			line += " Registered: " + cmp.Or(strings.Join(p.Registered, ", "), "none") + "."
		}
		c.say("%s", line)
	}
}

// consent adds whether the user is asked before a code. Silent: no page can be shown.
func (c *RequestCheck) consent(a *oauth.Authorization, silent bool) {
	when := "the consent page shows before the code"
	if silent {
		when = "nothing can be shown, so the answer is that consent is missing (consent_required, or code 003-040)"
	}
	switch {
	case a.PromptConsent, a.Client.Consent == oauth.ConsentAlways:
		c.say("The user is asked for consent each time: %s.", when)
	case a.Client.Consent == oauth.ConsentFirst:
		c.say("The user is asked for consent once, and for each new scope: until then, %s.", when)
	}
}

// granted adds the content of the tokens, and the allowed sign-in methods.
func (c *RequestCheck) granted(a *oauth.Authorization, asked []string) {
	c.say("Scopes: %s", cmp.Or(strings.Join(a.Scopes, " "), "none"))
	leftOut := slices.DeleteFunc(slices.Clone(asked), func(scope string) bool {
		return slices.Contains(a.Scopes, scope) || scope == "offline_access" && a.OpenID && slices.Contains(a.Scopes, "offline")
	})
	if len(leftOut) > 0 {
		c.say("Left out, since they are not registered for the client: %s", strings.Join(leftOut, " "))
	}
	c.say("Audience: %s", strings.Join(a.Audience, " "))
	c.say("Sign-in methods: %s", cmp.Or(strings.Join(a.Methods, ", "), "all"))
}
