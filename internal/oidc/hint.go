package oidc

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

const (
	hintParam = "id_token_hint"

	// sealedHintParam is a parameter of our own: a hint that came in the body of a
	// form, sealed. An ID token names the user, and URLs are logged.
	sealedHintParam = "sealed_hint"

	maxHint = 8 << 10 // bytes; sealed, it still fits in a parameter
)

// sealHints seals the hints of a form that becomes a URL.
func (a *API) sealHints(r *http.Request, form url.Values) *oauth.Error {
	hints := form[hintParam]
	form.Del(hintParam)
	for _, hint := range hints {
		if hint == "" {
			continue
		}
		if len(hint) > maxHint {
			return oauth.InvalidParam(hintParam, "is too long.")
		}
		sealed, err := a.Server.Keys.Seal(r.Context(), sealedHintParam, []byte(hint))
		if err != nil {
			return oauth.Unavailable(err)
		}
		form.Add(sealedHintParam, sealed)
	}
	return nil
}

// unsealHint opens a sealed hint. It returns "" if it cannot be opened.
func (a *API) unsealHint(r *http.Request, sealed string) (string, *oauth.Error) {
	hint, err := a.Server.Keys.Unseal(r.Context(), sealedHintParam, sealed)
	if err != nil && !errors.Is(err, keys.ErrSealed) {
		return "", oauth.Unavailable(err)
	}
	return string(hint), nil
}
