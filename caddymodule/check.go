package caddymodule

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/loginapi"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/internal/oidc"
	"github.com/caddy-sso/caddy-sso/internal/portal"
)

// A requestCheck explains what an authorization URL would get. It is for the
// operator: unlike an answer to the client it says what is registered.
type requestCheck struct {
	Lines   []string `json:"lines"`
	Refused bool     `json:"refused,omitempty"`
}

// say adds a line. Who wrote the URL is not who reads that in a terminal, so what
// cannot be seen does not come through.
func (c *requestCheck) say(format string, values ...any) {
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

// checkRequest answers POST /sso/check, whose body is a URL: it may have secrets,
// and addresses are logged. Nothing is issued, stored or used up.
func (adminAPI) checkRequest(w http.ResponseWriter, r *http.Request) error {
	return withRuntime(w, r, http.MethodPost, func(c *appRuntime) error {
		raw, err := httpapi.Body(w, r, httpapi.MaxQuery+1024)
		if err != nil {
			return adminError(httpapi.BodyStatus(err), errors.New("the URL could not be read, or is too long"))
		}
		u, err := url.Parse(strings.TrimSpace(string(raw)))
		if err != nil {
			return adminError(http.StatusBadRequest, errors.New("what was given is no URL; quote it for the shell, as in --request 'https://…'"))
		}
		check, err := c.check(r.Context(), u)
		if err != nil {
			return adminError(http.StatusBadRequest, err)
		}
		return writeAnswer(w, check)
	})
}

// check explains what a URL would get.
func (c *appRuntime) check(ctx context.Context, u *url.URL) (*requestCheck, error) {
	check := new(requestCheck)
	if u.Host != "" && oauth.OriginOf(u) != c.server.Issuer {
		check.say("The URL is of %s, and the issuer is %s: requests come to this portal only where both are the same.", oauth.OriginOf(u), c.server.Issuer)
	}
	switch httpapi.CanonicalPath(u.Path) {
	case "/api/oauth2/auth", portal.SignInPath:
		c.checkLogin(check, u.RawQuery, false)
	case "/api/oauth2/sso":
		c.checkLogin(check, u.RawQuery, true)
	case "/oauth2/authorize", portal.OpenIDPath:
		c.checkOpenID(ctx, check, u.RawQuery)
	default:
		return nil, fmt.Errorf("%s is no address of an authorization request; expected /api/oauth2/auth, /api/oauth2/sso or /oauth2/authorize, with its query", printableText(u.Path))
	}
	return check, nil
}

func (c *appRuntime) checkLogin(check *requestCheck, rawQuery string, script bool) {
	check.say("This is a request of the Login API.")
	request, refusal := loginapi.ParseAuthorize(rawQuery)
	if script {
		request = c.server.Clients.Defaults(request)
	}
	var a *oauth.Authorization
	if refusal == nil {
		a, refusal = c.server.Clients.CheckAuthorize(request)
	}
	check.client(c.server.Clients, request.ClientID)
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
		check.say("Without a session: 302 to the sign-in page, %s", c.server.Issuer+portal.SignInPath)
	}
	check.granted(a, request.Scope)
}

func (c *appRuntime) checkOpenID(ctx context.Context, check *requestCheck, rawQuery string) {
	check.say("This is a request of OpenID Connect.")
	request, refusal := oidc.ParseAuthorize(rawQuery)
	var a *oauth.Authorization
	if refusal == nil {
		a, refusal = c.server.CheckOpenID(ctx, request)
	}
	check.client(c.server.Clients, request.ClientID)
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
		check.say("The user is asked before that, since the request has prompt or max_age.")
	}
	if a.Silent {
		check.say("Without a session: error=login_required, since prompt=none shows nothing.")
	} else {
		check.say("Without a session: 302 to the sign-in page, %s", c.server.Issuer+portal.OpenIDPath)
	}
	check.granted(a, request.Scope)
}

// client says whose request it is.
func (c *requestCheck) client(clients *oauth.Clients, id string) {
	if client, known := clients.Get(id); known {
		kind := "with a secret"
		if client.Public {
			kind = "public"
		}
		c.say("The client is %s, %q, %s.", client.ID, client.Name, kind)
	}
}

// refuse says what the request gets, and all that is wrong with it.
func (c *requestCheck) refuse(e *oauth.Error, answer string) {
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

// consent says whether the user is asked before a code. Silent: nothing can be shown.
func (c *requestCheck) consent(a *oauth.Authorization, silent bool) {
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

// granted says what tokens would hold, and by which ways people may sign in.
func (c *requestCheck) granted(a *oauth.Authorization, asked []string) {
	c.say("Scopes: %s", cmp.Or(strings.Join(a.Scopes, " "), "none"))
	leftOut := slices.DeleteFunc(slices.Clone(asked), func(scope string) bool {
		return slices.Contains(a.Scopes, scope) || scope == "offline_access" && a.OpenID && slices.Contains(a.Scopes, "offline")
	})
	if len(leftOut) > 0 {
		c.say("Left out, since the client is not registered for them: %s", strings.Join(leftOut, " "))
	}
	c.say("Audience: %s", strings.Join(a.Audience, " "))
	c.say("Sign-in methods: %s", cmp.Or(strings.Join(a.Methods, ", "), "all"))
}

func checkCommand() *cobra.Command {
	cmd := subcommand("check", "Explains what an authorization URL would get, and why", cobra.NoArgs, printCheck)
	cmd.Long = `Explains what an authorization URL would get from a running server, and why: what
is wrong with it and what is registered, or where it leads and what is granted.
It fails where the request would be refused. Nothing is issued, and nobody is
signed in.

  caddy sso check --request 'https://login.example.com/oauth2/authorize?client_id=…'`
	cmd.Flags().String("request", "", "The URL that an application sends the browser to, in quotes")
	return cmd
}

func printCheck(fl caddycmd.Flags) (int, error) {
	request := fl.String("request")
	if request == "" {
		return caddy.ExitCodeFailedStartup, errors.New("--request is missing; give the URL that the application sends the browser to, in quotes")
	}
	var check requestCheck
	err := sendAdmin(fl, http.MethodPost, "/sso/check", strings.NewReader(request), func(answer *json.Decoder) error { return answer.Decode(&check) })
	if err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	var text bytes.Buffer
	for _, line := range check.Lines {
		fmt.Fprintln(&text, line)
	}
	if _, err := io.Copy(os.Stdout, &text); err != nil {
		return caddy.ExitCodeFailedStartup, fmt.Errorf("printing: %w", err)
	}
	if check.Refused {
		return caddy.ExitCodeFailedStartup, errors.New("the request would be refused")
	}
	return caddy.ExitCodeSuccess, nil
}
