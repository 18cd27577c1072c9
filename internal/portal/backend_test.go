package portal_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-sso/caddy-sso/internal/signin/methods"
	"github.com/caddy-sso/caddy-sso/internal/signin/remote"
	"github.com/caddy-sso/caddy-sso/internal/signin/remote/remotetest"
	"github.com/caddy-sso/caddy-sso/internal/signin/subjects"
	"github.com/caddy-sso/caddy-sso/session"
	"github.com/caddy-sso/caddy-sso/signin"
)

// use configures the sign-in methods.
func (f *fixture) use(list ...signin.Method) {
	f.hosted.Methods = list
	f.hosted.Server.Users = methods.List(list)
}

func TestABackendSignsItsUsersIn(t *testing.T) {
	f, b := newFixture(t), remotetest.NewBackend(t)
	f.use(f.hosted.Methods[0], b.Method("accounts", time.Minute))
	b.Says(http.StatusOK, `{"user":{"subject":"17","name":"Zoë","email":"zoe@game.example","email_verified":true,"groups":["players","x","x"],"avatar":"https://a.example/z.png","more":1},"more":{}}`)
	v := f.visitor()
	want(t, v.try(" zoë ", "hunter2"), http.StatusOK)
	in, err := f.hosted.Server.SignedIn(t.Context(), v.session())
	if err != nil {
		t.Fatal(err)
	}
	u := in.User
	if u.Name != "Zoë" || u.Email != "zoe@game.example" || !slices.Equal(u.Groups, []string{"players", "x"}) || u.Avatar != "https://a.example/z.png" ||
		u.Signin != "accounts" || u.Subject != subjects.Derive("way", "accounts\x0017") {
		t.Errorf("she is %+v", u)
	}
	if asked := b.Questions(); !slices.Equal(asked, []remote.CredentialsQuestion{{Username: "zoë", Password: "hunter2", Address: "192.0.2.1"}}) {
		t.Errorf("it was asked %+v", asked)
	}
}

func TestWhatABackendSaysOfAUserIsNotBelievedBlindly(t *testing.T) {
	f, b := newFixture(t), remotetest.NewBackend(t)
	f.use(f.hosted.Methods[0], b.Method("accounts", time.Minute))
	subject := subjects.Derive("way", "accounts\x0017")
	for name, c := range map[string]struct {
		user string
		want session.User
	}{
		"no more than a subject":         {`{"subject":"17"}`, session.User{Name: "17"}},
		"an e-mail not verified":         {`{"subject":"17","email":"a@b.example"}`, session.User{Name: "17"}},
		"an e-mail with two @":           {`{"subject":"17","email":"a@b@c.example","email_verified":true}`, session.User{Name: "17"}},
		"only an e-mail":                 {`{"subject":"17","email":"a@b.example","email_verified":true}`, session.User{Name: "a@b.example", Email: "a@b.example"}},
		"the name of a local user":       {`{"subject":"17","name":"DEMO"}`, session.User{Name: subject}},
		"control characters":             {`{"subject":"17","name":"a\nb","groups":["a\nb","c"],"avatar":"javascript:x"}`, session.User{Name: "17", Groups: []string{"c"}}},
		"members of other types":         {`{"subject":"17","name":1,"groups":{"a":1},"avatar":[],"email":2}`, session.User{Name: "17"}},
		"a group that is no list":        {`{"subject":"17","groups":"c"}`, session.User{Name: "17", Groups: []string{"c"}}},
		"a method and a subject of ours": {`{"subject":"17","signin":"local","Subject":"x"}`, session.User{Name: "17"}},
	} {
		b.Says(http.StatusOK, `{"user":`+c.user+`}`)
		u, err := f.hosted.Methods.PasswordMethods(nil).Check(t.Context(), signin.Credentials{Name: "x", Password: "y"})
		c.want.Subject, c.want.ProviderID, c.want.Signin = subject, "17", "accounts"
		if unread := u.Claims.Unread(session.ClaimGroups); unread != (name == "control characters" || name == "members of other types") {
			t.Errorf("%s: groups that could not be read in full: %v", name, unread)
		}
		u.Claims = session.Claims{}
		if err != nil || fmt.Sprint(u) != fmt.Sprint(c.want) {
			t.Errorf("%s: %+v, %v", name, u, err)
		}
	}
}

func TestAWrongPasswordIsToldApartFromABackendThatIsDown(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect is followed with a password") }))
	defer elsewhere.Close()
	for name, c := range map[string]struct {
		status int
		body   string
		down   bool
	}{
		"401":                   {401, remotetest.WrongPassword, false},
		"403":                   {403, `{"user":{"subject":"17"}}`, false},
		"404":                   {404, ` {"error":"wrong","more":1} `, false},
		"404 of nobody":         {404, `{"user":null}`, false},
		"401 without a body":    {401, "", true},
		"401 of a proxy":        {401, "Unauthorized", true},
		"401 of a framework":    {401, `{"detail":"Unauthorized"}`, true},
		"403 for the signature": {403, `{"error":"signature"}`, true},
		"403 with a list":       {403, `["wrong"]`, true},
		"403 with a text":       {403, `"wrong"`, true},
		"404 of another URL":    {404, "<html>not found</html>", true},
		"404 with two objects":  {404, `{"error":"wrong"}{}`, true},
		"204":                   {204, "", true},
		"301":                   {301, "", true},
		"307":                   {307, "", true},
		"400":                   {400, "", true},
		"429":                   {429, "", true},
		"500":                   {500, `{"user":{"subject":"17"}}`, true},
		"503":                   {503, "", true},
		"201 with a user":       {201, `{"user":{"subject":"17"}}`, true},
		"no JSON":               {200, "<html>", true},
		"no user":               {200, "{}", true},
		"null":                  {200, "null", true},
		"a user that is null":   {200, `{"user":null}`, true},
		"a user without any":    {200, `{"user":{"name":"x"}}`, true},
		"a subject of a number": {200, `{"user":{"subject":17}}`, true},
		"a subject too long":    {200, `{"user":{"subject":"` + strings.Repeat("x", 256) + `"}}`, true},
		"an answer too long":    {200, `{"user":{"subject":"17"}}` + strings.Repeat(" ", 65<<10) + "x", false},
	} {
		t.Run(name, func(t *testing.T) {
			f, b := newFixture(t), remotetest.NewBackend(t)
			f.use(f.hosted.Methods[0], b.Method("accounts", time.Minute))
			b.Answers(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", elsewhere.URL)
				w.WriteHeader(c.status)
				io.WriteString(w, c.body) //nolint:errcheck // some statuses have no body
			})
			v := f.visitor()
			if name == "an answer too long" {
				want(t, v.try("zoe", "hunter2"), http.StatusOK)
				return
			}
			// An answer that may mean a wrong password bounds guesses, whatever is shown.
			counts := slices.Contains([]int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound}, c.status)
			for range f.hosted.Limits.PerAccount / 2 {
				w := v.try("zoe", "hunter2")
				if !c.down {
					want(t, w, http.StatusUnauthorized)
					continue
				}
				want(t, w, http.StatusServiceUnavailable)
				wantText(t, w, "Your password could not be checked", "The server that checks passwords does not", `value="zoe"`)
				if strings.Contains(w.Body.String(), "does not count as an attempt") == counts {
					t.Errorf("what the page says of attempts: %s", w.Body)
				}
				if w.Header().Get("Retry-After") == "" || strings.Contains(w.Body.String(), "private") {
					t.Errorf("Retry-After %q, %s", w.Header().Get("Retry-After"), w.Body)
				}
			}
			if beyond := v.try("zoe", "hunter2").Code == http.StatusTooManyRequests; beyond != counts {
				t.Errorf("that it is an attempt: %v", beyond)
			}
		})
	}
}

// It has another secret, say, and then all passwords would look wrong.
func TestABackendThatRefusesOurSignatureIsNamedInTheLog(t *testing.T) {
	f, b := newFixture(t), remotetest.NewBackend(t)
	core, log := observer.New(zapcore.WarnLevel)
	f.hosted.Log = zap.New(core)
	f.use(f.hosted.Methods[0], b.Method("accounts", time.Minute))
	b.Says(http.StatusUnauthorized, `{"error":"the signature is not right"}`)
	want(t, f.visitor().try("zoe", "hunter2"), http.StatusServiceUnavailable)
	entries := log.All()
	if len(entries) != 1 {
		t.Fatalf("%d lines in the log", len(entries))
	}
	text := fmt.Sprint(entries[0].ContextMap()["error"])
	for _, has := range []string{"signin backend accounts", "401", "signature", "clock", `{"error":"wrong"}`} {
		if !strings.Contains(text, has) {
			t.Errorf("the log does not name %s: %s", has, text)
		}
	}
	if strings.Contains(text, "\n") || !strings.Contains(text, "does not answer as it should") {
		t.Errorf("the log gives another reason, too: %s", text)
	}
	if strings.Contains(text, "hunter2") || strings.Contains(text, "private") {
		t.Errorf("the log has a secret: %s", text)
	}
}

func TestThePasswordOfALocalUserGoesToNoBackend(t *testing.T) {
	f, b := newFixture(t), remotetest.NewBackend(t)
	f.use(b.Method("accounts", time.Minute), f.hosted.Methods[0])
	f.hosted.Limits.PerAccount = 100
	b.Says(http.StatusOK, `{"user":{"subject":"17"}}`)
	for _, name := range []string{
		"demo", "DEMO", " demo@example.com", "demo\u200b", "\ufeffdemo", "de\u00admo", "\u202edemo\u202c", "d\u034femo", "demo\ufe0f", "dem\u3164o",
		"demo \u2060", "ＤＥＭＯ", "ⅾemo", "ᵈᵉᵐᵒ\u200d", "demo@\u200bexample.com", "demo＠example.com",
	} {
		want(t, f.visitor().try(name, "a typo"), http.StatusUnauthorized)
		want(t, f.visitor().try(name, "demo password"), http.StatusOK)
	}
	if asked := b.Questions(); len(asked) > 0 {
		t.Errorf("it was asked %q", asked)
	}
}

func TestClass29AUserOfABackendTakesTheWorkOfALocalOne(t *testing.T) {
	f, b := newFixture(t), remotetest.NewBackend(t)
	f.use(f.hosted.Methods[0], b.Method("accounts", time.Minute))
	for _, name := range []string{"demo", "zoe"} {
		w := f.visitor().try(name, "wrong")
		want(t, w, http.StatusUnauthorized)
		if got := f.work.Take(); !slices.Equal(got, []string{"$2a$10$", "$2a$12$"}) {
			t.Errorf("%s: compared %v", name, got)
		}
	}
}

func TestMethodsThatHaveToAskAreAskedInOrder(t *testing.T) {
	f, first, second := newFixture(t), remotetest.NewBackend(t), remotetest.NewBackend(t)
	f.use(first.Method("first", time.Minute), second.Method("second", time.Minute))
	second.Says(http.StatusOK, `{"user":{"subject":"17","name":"zoe"}}`)
	v := f.visitor()
	want(t, v.try("zoe", "x"), http.StatusOK)
	if in, err := f.hosted.Server.SignedIn(t.Context(), v.session()); err != nil || in.User.Signin != "second" {
		t.Errorf("%+v, %v", in.User, err)
	}
	// That one is down makes no guess at the other free.
	first.Says(http.StatusInternalServerError, "")
	second.Says(http.StatusUnauthorized, remotetest.WrongPassword)
	v = f.visitor()
	for range f.hosted.Limits.PerAccount / 2 {
		want(t, v.try("zoe", "guess"), http.StatusServiceUnavailable)
	}
	want(t, v.try("zoe", "guess"), http.StatusTooManyRequests)
}

func TestClass18ABrowserThatTheBackendSignedInHasACountOfItsOwn(t *testing.T) {
	f, b := newFixture(t), remotetest.NewBackend(t)
	f.use(b.Method("accounts", time.Minute))
	b.Says(http.StatusOK, `{"user":{"subject":"17","name":"zoe"}}`)
	owner, other := f.visitor(), f.visitor()
	want(t, owner.try("zoe", "right"), http.StatusOK)
	b.Says(http.StatusUnauthorized, remotetest.WrongPassword)
	for i := range f.hosted.Limits.PerAccount / 2 {
		want(t, other.try([]string{"zoe", "ZOE", " zoe "}[i%3], "guess"), http.StatusUnauthorized)
	}
	want(t, other.try("Zoe", "guess"), http.StatusTooManyRequests)
	b.Says(http.StatusOK, `{"user":{"subject":"17","name":"zoe"}}`)
	want(t, owner.try(" zoe", "right"), http.StatusOK)
}
