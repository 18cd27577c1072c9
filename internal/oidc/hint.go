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

	// sealedHintParam is ours: a hint that came in the body of a form, sealed,
	// since an ID token says who the user is, and addresses are logged.
	sealedHintParam = "sealed_hint"

	maxHint = 8 << 10 // bytes, so that it is no longer than a parameter may be, sealed
)

// sealHints seals the hints of a form that becomes an address.
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

// unsealHint opens a sealed hint: "" where it is none of ours.
func (a *API) unsealHint(r *http.Request, sealed string) (string, *oauth.Error) {
	hint, err := a.Server.Keys.Unseal(r.Context(), sealedHintParam, sealed)
	if err != nil && !errors.Is(err, keys.ErrSealed) {
		return "", oauth.Unavailable(err)
	}
	return string(hint), nil
}
