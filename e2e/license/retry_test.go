package license

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
)

func TestARetriedActivationSucceedsOnceMoreAndADifferentOneDoesNot(t *testing.T) {
	t.Parallel()
	w := start(t)
	a := w.app(t, harness.NewClient(t))
	body := a.Activation(a.code(t, harness.Demo), "")
	w.wantActivated(t, a, body, harness.Demo)
	w.wantActivated(t, a, body, harness.Demo)
	before := len(w.backend.Requests())
	_, err := a.Activate(t.Context(), body)
	wantRefused(t, err, 400, "invalid_code")
	if n := len(w.backend.Requests()) - before; n != 0 {
		t.Errorf("a third one reached the backend")
	}

	// That was a replay, which ended what the code was for; it did not sign out.
	for name, vary := range map[string]func([]byte) []byte{
		"another hardware":  func(b []byte) []byte { return bytes.Replace(b, []byte(a.Hardware), []byte("another"), 1) },
		"a space behind it": func(b []byte) []byte { return append(slices.Clone(b), ' ') },
	} {
		t.Run(name, func(t *testing.T) {
			a := w.app(t, a.browser)
			body := a.Activation(a.newCode(t), "")
			w.wantActivated(t, a, body, harness.Demo)
			w.sealed(t, w.post(t, routes[0], vary(body)), len(w.backend.Requests()), http.StatusBadRequest, "invalid_code")
		})
	}
	t.Run("another route", func(t *testing.T) {
		a := w.app(t, a.browser)
		body := a.Activation(a.newCode(t), "")
		w.wantActivated(t, a, body, harness.Demo)
		w.sealed(t, w.post(t, routes[1], body), len(w.backend.Requests()), 400, "invalid_code")
	})
}

// TestOfManyActivationsAtOnceTwoSucceed holds the bound under a race: one that
// redeems, and one that is taken for its retry.
func TestOfManyActivationsAtOnceTwoSucceed(t *testing.T) {
	t.Parallel()
	w := start(t)
	a := w.app(t, harness.NewClient(t))
	body := a.Activation(a.code(t, harness.Demo), "")
	var succeeded atomic.Int32
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			if _, err := a.Activate(context.Background(), body); err == nil {
				succeeded.Add(1)
			} else {
				wantRefused(t, err, 400, "invalid_code")
			}
		})
	}
	all.Wait()
	if n := succeeded.Load(); n < 1 || n > 2 || len(w.backend.Requests()) != int(n) {
		t.Errorf("%d succeeded, and %d reached the backend", n, len(w.backend.Requests()))
	}
}

func TestClass14ASignOutEndsWhatItsCodesAndTokensAreGoodFor(t *testing.T) {
	t.Parallel()
	w := start(t)
	a := w.app(t, harness.NewClient(t))
	code, tokens := a.code(t, harness.Demo), a.again(t, "token")
	form, err := a.browser.Open(w.Portal + "/sso/sign_out").Form("")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.browser.Submit(form); err != nil {
		t.Fatal(err)
	}
	_, err = a.Activate(t.Context(), a.Activation(code, ""))
	wantRefused(t, err, http.StatusBadRequest, "invalid_code")
	_, err = a.Activate(t.Context(), a.Activation("", tokens.Get("id_token")))
	wantRefused(t, err, http.StatusUnauthorized, "invalid_id_token")
	if n := len(w.backend.Requests()); n != 0 {
		t.Errorf("%d requests reached the backend", n)
	}
}
