package loginapi_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/session"
)

// The user as the published SDKs read it: docs/login-api.md says where.
var userModels = map[string]model{
	"iOS": {
		"id": text, "groups": list(model{"id": int64s, "name": text, "is_default": boolean, "is_deletable": boolean}),
		"is_anonymous": boolean, "is_user_active": boolean, "last_login": iosDate, "registered": iosDate,
		"is_last_email_confirmed": optional(boolean), "email": optional(text), "name": optional(text), "picture": optional(text), "username": optional(text),
		"nickname": optional(text), "external_id": optional(text), "gender": optional(text), "phone": optional(text), "tag": optional(text),
	},
	"Android": {
		"id": text, "groups": list(model{"id": int32s, "name": text, "is_default": boolean, "is_deletable": boolean}),
		"last_login": text, "registered": text,
		"email": optional(text), "name": optional(text), "nickname": optional(text), "picture": optional(text), "external_id": optional(text),
	},
	"Unity": {
		"id": optional(text), "username": optional(text),
		"groups":     optional(list(model{"id": defaulted(int32s), "name": optional(text), "is_default": defaulted(boolean), "is_deletable": defaulted(boolean)})),
		"registered": optional(text), "last_login": optional(text), "is_anonymous": optional(boolean), "email": optional(text), "picture": optional(text),
	},
	"Unreal": {
		"id": defaulted(text), "groups": defaulted(list(model{"id": defaulted(int32s), "name": defaulted(text), "is_default": defaulted(boolean), "is_deletable": defaulted(boolean)})),
		"last_login": defaulted(text), "registered": defaulted(text), "ban": defaulted(object(model{})),
		"email": defaulted(text), "name": defaulted(text), "nickname": defaulted(text), "picture": defaulted(text), "external_id": defaulted(text),
	},
	"Cocos": {
		"id": text, "username": text, "groups": list(model{"id": int64s, "name": text, "is_default": boolean, "is_deletable": boolean}),
		"is_anonymous": boolean, "last_login": text, "registered": text,
	},
}

// The answer to each grant but an exchange, which no SDK asks for.
var tokenModels = map[string]model{
	"iOS":     {"access_token": text, "token_type": text, "expires_in": optional(int64s), "refresh_token": optional(text)},
	"Android": {"access_token": text, "token_type": text, "expires_in": int32s, "refresh_token": text},
	"Unity":   {"access_token": text, "token_type": text, "expires_in": int32s, "refresh_token": text},
	"Unreal":  {"access_token": text, "expires_in": int64s, "refresh_token": text},
	"Go":      {"access_token": text, "expires_in": int64s, "refresh_token": text},
}

var (
	errorModels = map[string]model{
		"iOS":                       {"error": object(model{"code": iosCode, "description": text})},
		"Unreal, Unity, Cocos, npm": {"error": object(model{"code": text, "description": text})},
	}
	loginURLModel  = model{"login_url": text} // iOS, Unity, Cocos, npm
	socialURLModel = model{"url": text}       // iOS, Android, Unreal, npm
)

func wantDecoded(t *testing.T, a answer, models map[string]model) {
	t.Helper()
	for sdk, m := range models {
		if err := m.decode([]byte(a.Body)); err != nil {
			t.Errorf("%s cannot read %s: %v", sdk, a.Body, err)
		}
	}
	if big, err := tooBig([]byte(a.Body)); err != nil || len(big) > 0 {
		t.Errorf("%v are beyond 32 bits in %s: %v", big, a.Body, err)
	}
}

// me asks who the user of a token is.
func (w *world) me(access string) answer {
	w.T.Helper()
	a := w.Send(http.MethodGet, "/api/users/me", "", bearer(access)...)
	if a.Status != http.StatusOK {
		w.T.Fatalf("%d %s", a.Status, a.Body)
	}
	return a
}

// wantDates holds the dates of a user, as the iOS SDK takes them.
func wantDates(t *testing.T, a answer, lastLogin, registered time.Time) {
	t.Helper()
	var body struct {
		LastLogin  string `json:"last_login"`
		Registered string `json:"registered"`
	}
	if err := json.Unmarshal([]byte(a.Body), &body); err != nil {
		t.Fatal(err)
	}
	for said, want := range map[string]time.Time{body.LastLogin: lastLogin, body.Registered: registered} {
		ios, err := parseIOSDate(said)
		if err != nil || !ios.Equal(want.Truncate(time.Second)) {
			t.Errorf("the iOS SDK takes %q for %v: %v, want %v", said, ios, err, want)
		}
		if others, err := time.Parse(time.RFC3339, said); err != nil || !others.Equal(want.Truncate(time.Second)) {
			t.Errorf("%q is %v: %v, want %v", said, others, err, want)
		}
	}
}

func TestEveryPublishedSDKCanReadTheUser(t *testing.T) {
	bare := session.User{Subject: "0b5b9c7e-6b5e-4c39-8e65-1e8d3a5c9a01", Name: "bare", Signin: "studio"}
	full := ada
	full.Avatar, full.Registered = "https://game.example/a.png", time.Date(2019, 4, 27, 21, 41, 2, 0, time.UTC).Unix()
	for name, u := range map[string]session.User{"of whom nothing is known": bare, "of whom much is": full} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			cookie, _ := w.signIn(u)
			access, _ := w.tokens(cookie, "email")
			wantDecoded(t, w.me(access), userModels)
		})
	}
}

// What was there before is as it was, to the byte.
func TestMeHasTheOldMembersFirst(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	access, _ := w.tokens(cookie, "email")
	const want = `{"id":"7e0d7dbb-8a4c-4b5f-9e63-0d3f3f0c2f11","username":"ada","email":"ada@example.com",` +
		`"groups":[{"id":688827913,"name":"players","is_default":true,"is_deletable":false},{"id":323580792,"name":"crew","is_default":false,"is_deletable":false}],` +
		`"name":"ada","last_login":"2026-01-02T03:04:05+00:00","registered":"2026-01-02T03:04:05+00:00",` +
		`"is_anonymous":false,"is_user_active":true,"is_last_email_confirmed":true}` + "\n"
	if a := w.me(access); a.Body != want {
		t.Errorf("got  %s\nwant %s", a.Body, want)
	}
}

func TestDatesAreWhatThePublishedSDKsRead(t *testing.T) {
	for _, clock := range []string{"00:00:00", "03:04:05", "11:59:59.999", "12:00:00", "12:30:00", "15:04:05.5", "23:59:59"} {
		t.Run(clock, func(t *testing.T) {
			at, err := time.Parse("2006-01-02T15:04:05", "2026-03-01T"+clock)
			if err != nil {
				t.Fatal(err)
			}
			w := newWorld(t)
			w.Clock.Advance(at.Sub(w.Clock.Now()))
			cookie, _ := w.signIn(ada)
			access, _ := w.tokens(cookie, "")
			wantDates(t, w.me(access), at, at)
			w.Clock.Advance(10 * time.Minute) // and not when it was asked for
			wantDates(t, w.me(access), at, at)
		})
	}
}

func TestLastLoginIsTheSignInOfTheSessionOrOfTheGrant(t *testing.T) {
	w := newWorld(t)
	u := ada
	u.Registered = time.Date(2019, 4, 27, 21, 41, 2, 0, time.UTC).Unix()
	begun := w.Clock.Now()
	cookie, _ := w.signIn(u)
	w.Clock.Advance(time.Hour)
	access, refresh := w.tokens(cookie, "offline")
	wantDates(t, w.me(access), begun, time.Unix(u.Registered, 0))

	// The grant outlives its session.
	if a := w.Send(http.MethodGet, "/api/oauth2/logout?sessions=sso", "", bearer(access)...); a.Status != http.StatusNoContent {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	wantDates(t, w.me(access), begun, time.Unix(u.Registered, 0))
	w.Clock.Advance(time.Hour)
	later, _ := w.access(w.token(refreshing(refresh)))
	wantDates(t, w.me(later), begun, time.Unix(u.Registered, 0))
}

func TestEveryPublishedSDKCanReadTheOtherAnswers(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	for name, a := range map[string]answer{
		"a code":                w.token(redemption(w.code(cookie, game()))),
		"a code, offline":       w.token(redemption(w.code(cookie, game("scope", "offline")))),
		"a client's own":        w.token(clientGrant()),
		"a name and a password": w.login("/api/oauth2/login/token", game(), right),
	} {
		t.Run(name, func(t *testing.T) {
			wantDecoded(t, a, tokenModels)
			var body struct {
				Token string `json:"access_token"`
			}
			if err := json.Unmarshal([]byte(a.Body), &body); err != nil {
				t.Fatal(err)
			}
			claims, err := base64.RawURLEncoding.DecodeString(strings.Split(body.Token, ".")[1])
			if err != nil {
				t.Fatal(err)
			}
			if big, err := tooBig(claims); err != nil || len(big) > 0 {
				t.Errorf("%v are beyond 32 bits in %s: %v", big, claims, err)
			}
		})
	}
	_, refresh := w.tokens(cookie, "offline")
	wantDecoded(t, w.token(refreshing(refresh)), tokenModels)
	wantDecoded(t, w.login(loginPath, game(), right), map[string]model{"each": loginURLModel})
	wantDecoded(t, w.Get("/api/oauth2/sso?"+game().Encode(), cookie), map[string]model{"each": loginURLModel})
	wantDecoded(t, w.Get("/api/oauth2/social/acme/login_url?"+game().Encode(), ""), map[string]model{"each": socialURLModel})
	for name, a := range map[string]answer{
		"400":                     w.login(loginPath, game("state", "short"), right),
		"401":                     w.login(loginPath, game(), `{"username":"ada","password":"wrong"}`),
		"404":                     w.login(loginPath, game("client_id", "77"), right),
		"422":                     w.login(loginPath, game("client_id", "3", "redirect_uri", "https://closed.example/cb", "audience", "closed"), right),
		"of a token that is none": w.Send(http.MethodGet, "/api/users/me", "", bearer("none")...),
		"of a spent code":         w.token(redemption("none")),
	} {
		if a.Status < 400 {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
		wantDecoded(t, a, errorModels)
	}
}

// The Unity SDK takes an answer for an error, whatever its status, that has the
// words error, code and description, or statusCode, errorCode and errorMessage.
func TestNoAnswerOfSuccessLooksLikeAnErrorToUnity(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	access, _ := w.tokens(cookie, "email")
	for _, a := range []answer{w.me(access), w.token(redemption(w.code(cookie, game()))), w.login("/api/oauth2/login/token", game(), right)} {
		for _, words := range [][]string{{"error", "code", "description"}, {"statusCode", "errorCode", "errorMessage"}} {
			if !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(a.Body, word) }) {
				t.Errorf("%q are in %s", words, a.Body)
			}
		}
	}
}

// A token's groups have no more than was published: a backend that needs more asks
// for the user.
func TestTheGroupsOfATokenAreAsPublished(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	access, _ := w.tokens(cookie, "email")
	claims, err := base64.RawURLEncoding.DecodeString(strings.Split(access, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	want := `"groups":[{"id":688827913,"name":"players","is_default":true},{"id":323580792,"name":"crew","is_default":false}]`
	if !bytes.Contains(claims, []byte(want)) || oauth.GroupID("players") != 688827913 {
		t.Errorf("%s has not %s", claims, want)
	}
}
