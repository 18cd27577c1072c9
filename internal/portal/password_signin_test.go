package portal_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// api signs in with name and password as data.
func (b *visitor) api(name, password string) (oauth.SignedIn, *oauth.Error) {
	b.f.t.Helper()
	client, _ := b.f.hosted.Server.Clients.Get("1")
	r := httptest.NewRequestWithContext(b.f.t.Context(), http.MethodPost, "/api/oauth2/login", nil)
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	w := httptest.NewRecorder()
	in, refusal := b.f.hosted.SignIn(w, r, &oauth.Authorization{Client: client}, name, password)
	for _, c := range w.Result().Cookies() {
		b.cookies[c.Name] = c.Value
	}
	return in, refusal
}

func wantRefusal(t *testing.T, refusal *oauth.Error, kind oauth.Kind) {
	t.Helper()
	if refusal == nil || refusal.Kind != kind {
		t.Fatalf("refused with %v, want kind %d", refusal, kind)
	}
}

func TestAnAPISignsInAsThePageDoes(t *testing.T) {
	f := newFixture(t)
	b := f.visitor()
	in, refusal := b.api("DEMO@example.com", "demo password")
	if refusal != nil {
		t.Fatal(refusal)
	}
	if in.User.Name != "demo" || f.who(b.session()) != "demo" {
		t.Errorf("signed in as %q, and the cookie says %q", in.User.Name, f.who(b.session()))
	}
	first := b.session()
	if _, refusal := b.api("Ann", "ann password"); refusal != nil {
		t.Fatal(refusal)
	}
	if f.who(b.session()) != "Ann" || f.who(first) != "" {
		t.Errorf("the cookie says %q, and the one before %q", f.who(b.session()), f.who(first))
	}
	if _, refusal := b.api("Ann", "wrong"); refusal == nil || f.who(b.session()) != "Ann" {
		t.Error("a wrong password ended the session")
	}
}

func TestClass18PageAndAPIHaveOneCount(t *testing.T) {
	f := newFixture(t)
	f.guess("demo", 3)
	for range 2 {
		_, refusal := f.visitor().api("DEMO", "a guess")
		wantRefusal(t, refusal, oauth.WrongPassword)
	}
	_, refusal := f.visitor().api("demo", "demo password")
	wantRefusal(t, refusal, oauth.TooManyAttempts)
	if refusal.RetryAfter <= 0 || refusal.RetryAfter > 180*time.Second {
		t.Errorf("Retry-After %v", refusal.RetryAfter)
	}
	want(t, f.visitor().try("demo", "demo password"), http.StatusTooManyRequests)
}

func TestClass18AnAPIKnowsTheBrowserThatSignedInBefore(t *testing.T) {
	f := newFixture(t)
	b := f.visitor()
	want(t, b.try("demo", "demo password"), http.StatusOK)
	f.guess("demo", 5)
	if _, refusal := b.api("demo", "demo password"); refusal != nil {
		t.Errorf("another client locked the owner out: %v", refusal)
	}
	// And the reverse.
	b = f.visitor()
	if _, refusal := b.api("Ann", "ann password"); refusal != nil {
		t.Fatal(refusal)
	}
	f.guess("Ann", 5)
	want(t, b.try("Ann", "ann password"), http.StatusOK)
}

func TestClass29AnAPIDoesTheSameWorkForEveryName(t *testing.T) {
	f := newFixture(t)
	for _, name := range []string{"demo", "nobody", "costly", "", "demo@example.com"} {
		_, refusal := f.visitor().api(name, "a guess")
		wantRefusal(t, refusal, oauth.WrongPassword)
		if made := f.work.Take(); len(made) != 2 {
			t.Errorf("%q: %q were compared", name, made)
		}
	}
}

func TestAnAPIWithoutAPasswordMethodSaysSo(t *testing.T) {
	f := newOutsideFixture(t)
	f.use(f.acme)
	_, refusal := f.visitor().api("demo", "demo password")
	wantRefusal(t, refusal, oauth.UnauthorizedClient)
	if made := f.work.Take(); len(made) != 0 {
		t.Errorf("%q were compared", made)
	}
}

func TestAnAPIBlamesNobodyForAStoreThatIsDown(t *testing.T) {
	f := newFixture(t)
	f.store.Down(true)
	b := f.visitor()
	_, refusal := b.api("demo", "demo password")
	wantRefusal(t, refusal, oauth.Internal)
	if b.session() != "" || refusal.RetryAfter != time.Second {
		t.Errorf("cookie %q, Retry-After %v", b.session(), refusal.RetryAfter)
	}
}
