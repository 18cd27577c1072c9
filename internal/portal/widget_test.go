package portal_test

import (
	"errors"
	"html"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/codes"
	"github.com/caddy-sso/caddy-sso/internal/portal"
	"github.com/caddy-sso/caddy-sso/internal/signin/methods"
	"github.com/caddy-sso/caddy-sso/signin"
)

func TestAPopupTellsItsOpenerWhatBecomesOfTheSignIn(t *testing.T) {
	f := newFixture(t)
	const told = `data-opener="https://game.example" data-state="12345678"`
	b := f.visitor()
	w := b.open(portal.RedirectToSignIn("", authorization+"&popup=true"))
	want(t, w, http.StatusOK)
	wantText(t, w, told+">")
	want(t, b.submit(b.form(w), "demo", "wrong"), http.StatusUnauthorized)
	wantText(t, b.submit(b.form(w), "demo", "wrong"), told+` data-code="003-001" data-description="User name or password is wrong">`)

	w = f.visitor().open(portal.RedirectToSignIn("", authorization))
	if strings.Contains(w.Body.String(), "data-opener") || strings.Contains(w.Body.String(), "/opener.") {
		t.Errorf("without popup, the page sends a message: %s", w.Body)
	}
}

func TestWidgetOnlyShowsNoBrandOnAnyPageOfTheSignIn(t *testing.T) {
	f := newFixture(t)
	for query, headers := range map[string]int{authorization: 1, authorization + "&widget_only=true": 0} {
		b := f.visitor()
		form := b.open(portal.RedirectToSignIn("", query))
		wrong := b.submit(b.form(form), "demo", "wrong")
		done := b.submit(b.form(wrong), "demo", "demo password")
		want(t, done, http.StatusOK)

		p, refusal := f.hosted.AuthorizationOf(t.Context(), portal.SignInPath, query)
		if refusal != nil {
			t.Fatal(refusal)
		}
		location, err := f.hosted.Widget(t.Context(), p, "code1")
		if err != nil {
			t.Fatal(err)
		}
		widget := b.open(strings.TrimPrefix(location, issuer))
		for name, body := range map[string]string{
			"sign-in": form.Body.String(), "sign-in again": wrong.Body.String(), "continue": done.Body.String(), "widget": widget.Body.String(),
		} {
			if got := strings.Count(body, "<header"); got != headers {
				t.Errorf("%s: %s: %d headers, want %d", query, name, got, headers)
			}
		}
	}
}

func TestAPopupTellsItsOpenerOfWhateverEndsOnAPage(t *testing.T) {
	popup := portal.RedirectToSignIn("", authorization+"&popup=true&widget_only=true")
	type outcome struct{ code, description string }
	fails := func(err error) func(*outsideFixture, *visitor, string) *httptest.ResponseRecorder {
		return func(f *outsideFixture, b *visitor, state string) *httptest.ResponseRecorder {
			f.acme.endErr = err
			return b.back("acme", state, "ann")
		}
	}
	for name, c := range map[string]struct {
		end  func(f *outsideFixture, b *visitor, state string) *httptest.ResponseRecorder
		told outcome
	}{
		"cancelled": {fails(signin.ErrCancelled), outcome{"010-015", "You were not signed in"}},
		"down":      {fails(&signin.DownError{RetryAfter: time.Second, Cause: errors.New("x")}), outcome{"010-015", "ACME does not answer"}},
		"refused":   {fails(&signin.RefusedError{Code: "x"}), outcome{"010-015", "Signing in with ACME does not work"}},
		"busy":      {fails(signin.ErrBusy), outcome{"004-001", "Many people are signing in right now"}},
		"disabled":  {fails(methods.ErrDisabled), outcome{"002-040", "Your account here is disabled"}},
		"our fault": {fails(errors.New("x")), outcome{"004-001", "Just a moment"}},
		"a method that does not count any more": {func(f *outsideFixture, b *visitor, state string) *httptest.ResponseRecorder {
			f.use(f.local, f.umbrella)
			return b.back("acme", state, "ann")
		}, outcome{"0", "You cannot sign in this way"}},
		"a store that does not answer": {func(f *outsideFixture, b *visitor, state string) *httptest.ResponseRecorder {
			f.store.Down(true)
			return b.back("acme", state, "ann")
		}, outcome{"004-001", "Just a moment"}},
		"another method's answer": {func(_ *outsideFixture, b *visitor, state string) *httptest.ResponseRecorder {
			return b.back("umbrella", state, "ann")
		}, outcome{"0", "Signing in was not finished"}},
		"too late": {func(f *outsideFixture, b *visitor, state string) *httptest.ResponseRecorder {
			f.clock.Advance(portal.TransactionLifetime + time.Second)
			return b.back("acme", state, "ann")
		}, outcome{"0", "Signing in took too long"}},
		"twice": {func(_ *outsideFixture, b *visitor, state string) *httptest.ResponseRecorder {
			want(t, b.back("acme", state, "ann"), http.StatusOK)
			return b.back("acme", state, "ann")
		}, outcome{"0", "This sign-in was finished before"}},
		"without cookies": {func(f *outsideFixture, _ *visitor, state string) *httptest.ResponseRecorder {
			return f.visitor().back("acme", state, "ann")
		}, outcome{"0", "Your browser blocks cookies"}},
		"nothing, for a session that there was": {func(_ *outsideFixture, b *visitor, state string) *httptest.ResponseRecorder {
			want(t, b.back("acme", state, "ann"), http.StatusOK)
			return b.open(popup)
		}, outcome{}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newOutsideFixture(t)
			b := f.visitor()
			w := c.end(f, b, b.leave(b.open(popup), "acme"))
			told := `data-opener="https://game.example" data-state="12345678"`
			if c.told.code != "" {
				told += ` data-code="` + c.told.code + `" data-description="` + html.EscapeString(c.told.description) + `"`
			}
			wantText(t, w, told+">", "/opener.")
			if strings.Contains(w.Body.String(), "<header") {
				t.Error("with widget_only, the page has the brand")
			}
		})
	}
}

// A state that is not the portal's names no request, and so no opener.
func TestClass30AnAnswerToNothingTellsNobody(t *testing.T) {
	f := newOutsideFixture(t)
	b := f.visitor()
	state := b.leave(b.open(portal.RedirectToSignIn("", authorization+"&popup=true")), "acme")
	for _, query := range []string{"", "state=" + state[1:], "state=" + state + "&state=" + state} {
		w := b.open(portal.CallbackPrefix + "acme?" + query)
		want(t, w, http.StatusBadRequest)
		if strings.Contains(w.Body.String(), "data-opener") {
			t.Errorf("%q: the page sends a message: %s", query, w.Body)
		}
	}
}

func TestAWindowHearsWhetherItsCodeWasRedeemed(t *testing.T) {
	f := newFixture(t)
	b := f.visitor()
	widget := func(code, more string) (asks string) {
		p, refusal := f.hosted.AuthorizationOf(t.Context(), portal.SignInPath, authorization+more)
		if refusal != nil {
			t.Fatal(refusal)
		}
		location, err := f.hosted.Widget(t.Context(), p, code)
		if err != nil {
			t.Fatal(err)
		}
		w := b.open(strings.TrimPrefix(location, issuer))
		want(t, w, http.StatusOK)
		_, rest, _ := strings.Cut(w.Body.String(), `data-used="`)
		asks, _, _ = strings.Cut(rest, `"`)
		return html.UnescapeString(asks)
	}
	issue := func() string {
		code, err := f.hosted.Server.Codes.Issue(t.Context(), codes.Record{Client: "1"}, codes.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		return code
	}
	const handOver = "&popup=true&enable_post_message_login=true"
	if asks := widget(issue(), "&popup=true"); asks != "" {
		t.Errorf("a window that follows the callback asks %s", asks)
	}

	code := issue()
	asks := widget(code, handOver)
	for range 2 { // asking redeems nothing
		want(t, b.open(asks), http.StatusAccepted)
	}
	if _, err := f.hosted.Server.Codes.Redeem(t.Context(), code, func(*codes.Record) error { return nil }); err != nil {
		t.Fatal(err)
	}
	w := b.open(asks)
	want(t, w, http.StatusNoContent)
	if got := w.Header().Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control: %q", got)
	}

	asks = widget(issue(), handOver)
	f.clock.Advance(time.Minute + time.Second)
	want(t, b.open(asks), http.StatusGone)
	f.clock.Advance(portal.WidgetLifetime)
	w = b.open(asks)
	want(t, w, http.StatusBadRequest)
	wantText(t, w, "This window is too old", `data-opener="https://game.example" data-state="12345678"`)
	w = b.open(asks[:len(asks)-1])
	want(t, w, http.StatusBadRequest)
	if strings.Contains(w.Body.String(), "data-opener") {
		t.Errorf("the page sends a message: %s", w.Body)
	}
}
