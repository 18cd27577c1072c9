package signin

import (
	"net/http"
	"strings"
	"testing"
)

func TestAPopupTellsItsOpenerWhatBecomesOfTheSignIn(t *testing.T) {
	f := newFixture(t)
	const told = `data-opener="https://game.example" data-state="12345678"`
	b := f.visitor()
	w := b.open(RedirectToSignIn("", authorization+"&popup=true"))
	want(t, w, http.StatusOK)
	wantText(t, w, told+">")
	want(t, b.submit(b.form(w), "demo", "wrong"), http.StatusUnauthorized)
	wantText(t, b.submit(b.form(w), "demo", "wrong"), told+` data-code="003-001" data-description="User name or password is wrong">`)

	w = f.visitor().open(RedirectToSignIn("", authorization))
	if strings.Contains(w.Body.String(), "data-opener") || strings.Contains(w.Body.String(), "/opener.") {
		t.Errorf("without popup, the page tells somebody: %s", w.Body)
	}
}

func TestWidgetOnlyShowsNoBrandOnAnyPageOfTheWay(t *testing.T) {
	f := newFixture(t)
	for query, headers := range map[string]int{authorization: 1, authorization + "&widget_only=true": 0} {
		b := f.visitor()
		form := b.open(RedirectToSignIn("", query))
		wrong := b.submit(b.form(form), "demo", "wrong")
		done := b.submit(b.form(wrong), "demo", "demo password")
		want(t, done, http.StatusOK)

		p, refusal := f.hosted.purposeOf(t.Context(), SignInPath, query)
		if refusal != nil {
			t.Fatal(refusal)
		}
		location, err := f.hosted.Widget(t.Context(), p.authorization, "code1")
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
