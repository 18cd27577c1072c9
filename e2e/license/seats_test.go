package license

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
)

func TestANewSessionEvictsTheOldestAndItsWebSocketCloses(t *testing.T) {
	t.Parallel()
	w := start(t, func(_ *harness.Caddyfile, l *harness.License) { l.Product = "seats 1 evict_oldest" })
	first, second := w.app(t, harness.NewClient(t)), w.app(t, harness.NewClient(t))
	another := w.app(t, harness.NewClient(t))
	another.code(t, harness.Admin) // whose seat is another

	tokens := first.signIn(t, "token", harness.Demo)
	first.again(t, "token") // the same session, the same seat
	if page := first.browser.Open(w.Gate + "/"); page.Status != http.StatusOK {
		t.Fatalf("the gate answered %d", page.Status)
	}
	conn, _, err := websocket.Dial(t.Context(), w.Gate+"/ws", &websocket.DialOptions{HTTPClient: first.browser.HTTP()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.CloseNow() }()

	second.code(t, harness.Demo)
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	if _, _, err := conn.Read(ctx); err == nil || ctx.Err() != nil {
		t.Errorf("the WebSocket of the session that lost its seat: %v", err)
	}
	if resp := first.browser.Fetch(w.Gate + "/"); resp.Status != http.StatusUnauthorized {
		t.Errorf("the gate answers the session that lost its seat with %d", resp.Status)
	}
	_, err = first.Activate(t.Context(), first.Activation("", tokens.Get("id_token")))
	wantRefused(t, err, http.StatusUnauthorized, "invalid_id_token")
	if _, err := first.browser.Open(first.link(t, "code")).Form("password"); err != nil {
		t.Errorf("the session that lost its seat: %v", err)
	}
	for name, other := range map[string]*app{"the newer one": second, "another user's": another} {
		other.again(t, "code")
		if t.Failed() {
			t.Fatalf("that was %s", name)
		}
	}
}

// TestADeniedSeatIsExplainedAndMadeFree goes through the page on which one ends
// a session to have its seat.
func TestADeniedSeatIsExplainedAndMadeFree(t *testing.T) {
	t.Parallel()
	w := start(t, func(_ *harness.Caddyfile, l *harness.License) { l.Product = "seats 1 deny" })
	first, second := w.app(t, harness.NewClient(t)), w.app(t, harness.NewClient(t))
	first.code(t, harness.Demo)

	page := second.browser.SignIn(second.link(t, "code"), harness.Demo)
	second.wantPage(t, page, w.Portal, http.StatusForbidden, "You can use Demo CAD in 1 place at a time.")
	if page.URL.Path != "/sso/sessions" || strings.Count(page.Text(), "uses a seat") != 1 || strings.Count(page.Text(), "this browser") != 1 {
		t.Errorf("%s lists %s", page.URL, page.Text())
	}
	if _, err := page.LinkSaying("Continue to Demo CAD"); err == nil {
		t.Error("the page leads on although no seat is free")
	}
	form, err := page.Form("")
	if err != nil {
		t.Fatal(err)
	}
	// This browser's session comes first, then the one that has the seat, then
	// the button that ends all others.
	if len(form.Buttons) != 3 {
		t.Fatalf("the buttons are %v", form.Buttons)
	}
	if page, err = second.browser.Press(form, form.Buttons[1]); err != nil {
		t.Fatal(err)
	}
	on, err := page.LinkSaying("Continue to Demo CAD")
	if err != nil {
		t.Fatal(err)
	}
	// It is the link of before, which was not spent.
	code := codeIn(t, second.arrived(t, second.browser.Open(on)))
	w.wantActivated(t, second, second.Activation(code, ""), harness.Demo)
	if _, err := first.browser.Open(first.link(t, "code")).Form("password"); err != nil {
		t.Errorf("the session that was ended: %v", err)
	}

	t.Run("nobody else can end it", func(t *testing.T) {
		page := second.browser.Open(w.Portal + "/sso/sessions")
		form, err := page.Form("")
		if err != nil {
			t.Fatal(err)
		}
		own := form.Buttons[0]
		another := w.app(t, harness.NewClient(t))
		another.code(t, harness.Admin)
		if form, err = another.browser.Open(w.Portal + "/sso/sessions").Form(""); err != nil {
			t.Fatal(err)
		}
		if _, err := another.browser.Press(form, own); err != nil {
			t.Fatal(err)
		}
		second.again(t, "code")
	})
}

func TestTwoSeatsAreTwo(t *testing.T) {
	t.Parallel()
	w := start(t, func(_ *harness.Caddyfile, l *harness.License) { l.Product = "seats 2 deny" })
	apps := [2]*app{w.app(t, harness.NewClient(t)), w.app(t, harness.NewClient(t))}
	for _, a := range apps {
		a.code(t, harness.Demo)
	}
	third := w.app(t, harness.NewClient(t))
	page := third.browser.SignIn(third.link(t, "code"), harness.Demo)
	third.wantPage(t, page, w.Portal, http.StatusForbidden, "You can use Demo CAD in 2 places at a time.")
	for _, a := range apps {
		a.again(t, "code")
	}
}
