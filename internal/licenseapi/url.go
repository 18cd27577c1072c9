package licenseapi

import (
	"bytes"
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// The endpoints of the portal in answers of this API.
const (
	authorizePath  = "/oauth2/authorize"
	tokenPath      = "/oauth2/token" //nolint:gosec // a path, no credential
	introspectPath = "/oauth2/introspect"
	endSessionPath = "/oauth2/end_session"
)

// maxBundleCode bounds the bundle code, in bytes. No decision depends on it.
const maxBundleCode = 128

// ssoURL answers GET /api/v4/sso_url with the URL at which a license user signs in.
func (a *API) ssoURL(w http.ResponseWriter, r *http.Request) {
	if !allowed(w, r, http.MethodGet) || !a.authorized(w, r) {
		return
	}
	p, wrong := parseParams(r.URL.RawQuery, "product", "customer_account_code", "response_type", "redirect_uri", "bundle_code")
	if wrong == nil {
		wrong = p.require("product", "customer_account_code")
	}
	// A customer account has the same sign-in methods for all bundles of a product.
	if wrong == nil && len(p["bundle_code"]) > maxBundleCode {
		wrong = invalid("bundle_code is too long")
	}
	if wrong != nil {
		write(w, *wrong)
		return
	}
	link, e := a.Link(r.Context(), oauth.LicenseLinkRequest{
		Product: p["product"], Account: p["customer_account_code"],
		ResponseType: p["response_type"], RedirectURI: p["redirect_uri"],
	})
	if e != nil {
		a.Server.AuditUnregistered(e, "") // the caller has an API key
		refuse(w, a.Log, e)
		return
	}
	body := appendObject(nil, member{"url", link})
	if a.OpenIDConfiguration {
		body = append(body[:len(body)-1], `,"openid_configuration":`...)
		body = append(appendObject(body,
			member{"issuer", a.Server.Issuer},
			member{"end_session_endpoint", a.Server.Issuer + endSessionPath},
			member{"token_endpoint", a.Server.Issuer + tokenPath},
			member{"introspection_endpoint", a.Server.Issuer + introspectPath},
		), '}')
	}
	signed, err := a.sign(r.Context(), body)
	if err != nil {
		a.Unavailable(w, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	signed.write(w)
}

// linkParams is the order of a link's parameters. The unreadable ones, state and
// handle, come last.
var linkParams = [...]string{"scope", "response_type", "client_id", "redirect_uri", "customer_account_code", "state", "nonce", "handle"}

// Link is a URL at which a license user signs in. It is valid once, within ten minutes.
func (a *API) Link(ctx context.Context, r oauth.LicenseLinkRequest) (string, *oauth.Error) {
	query, e := a.Server.LicenseLink(ctx, r)
	if e != nil {
		return "", e
	}
	var b strings.Builder
	b.WriteString(a.Server.Issuer + authorizePath)
	separator := byte('?')
	for _, name := range linkParams {
		for _, value := range query[name] {
			b.WriteByte(separator)
			// Every decoder reads %20 as a space, but only form decoders read "+" as one.
			b.WriteString(name + "=" + strings.ReplaceAll(url.QueryEscape(value), "+", "%20"))
			separator = '&'
		}
	}
	return b.String(), nil
}

// oauthURLs answers GET /api/v4/oauth_url with the URL at which a client gets its own
// token. Clients read the member url, and post there.
func (a *API) oauthURLs(w http.ResponseWriter, r *http.Request) {
	if !allowed(w, r, http.MethodGet, http.MethodHead) {
		return
	}
	p, wrong := parseParams(r.URL.RawQuery, "login_type")
	if wrong == nil && p["login_type"] != "" && p["login_type"] != "client_credentials" {
		wrong = invalid("login_type should be client_credentials")
	}
	if wrong != nil {
		write(w, *wrong)
		return
	}
	signed := a.oauthURL.Load()
	if signed == nil {
		var err error
		if signed, err = a.sign(r.Context(), appendObject(nil, member{"url", a.Server.Issuer + tokenPath})); err != nil {
			a.Unavailable(w, err)
			return
		}
		a.oauthURL.Store(signed)
	}
	w.Header().Set("Cache-Control", "public, max-age=300")
	signed.write(w)
}

// signatureHeader has the signature over the bytes of the body.
const signatureHeader = "LicenseSignature"

// A signedBody is the body of an answer and its signature.
type signedBody struct {
	body      []byte
	signature string
}

func (a *API) sign(ctx context.Context, body []byte) (*signedBody, error) {
	signature, err := a.Sign(ctx, body)
	if err != nil {
		return nil, err
	}
	return &signedBody{bytes.Clone(body), base64.StdEncoding.EncodeToString(signature)}, nil
}

func (s *signedBody) write(w http.ResponseWriter) {
	// The spelling of the published API, since some clients compare with case.
	w.Header()[signatureHeader] = []string{s.signature}
	writeBody(w, http.StatusOK, s.body)
}
