package oauth_test

import (
	"testing"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

func TestIntrospectionOfATokenThatAFailoverLostSaysWhatARefreshWouldGet(t *testing.T) {
	w, store, tokens := lagging(t, 2)
	introspect := func() *oauth.Error {
		_, refusal := w.IntrospectRefresh(t.Context(), w.client("1"), tokens[4])
		return refusal
	}
	for range 2 { // it does not use the token
		if refusal := introspect(); refusal != nil {
			t.Error(refusal)
		}
	}
	store.silent = true
	wantKind(t, introspect(), oauth.Internal) // the answer is unknown
	store.silent = false
	if n := w.audit.FilterMessage(string(oauth.RefreshAhead)).Len(); n != 0 {
		t.Errorf("%d events of a token that was not used", n)
	}
	w.mustRefresh(tokens[4])
}
