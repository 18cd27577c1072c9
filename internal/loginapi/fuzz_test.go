package loginapi_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// Whatever the query is, the answer is a refusal, or a redirect to a place that
// is registered or the portal's own.
func FuzzAuthQuery(f *testing.F) {
	for _, seed := range []string{
		game().Encode(),
		game("popup", "true").Encode(),
		game("redirect_uri", "http://127.0.0.1:5000/callback").Encode(),
		game("redirect_uri", "https://game.example@evil.example/cb").Encode(),
		game("fail_auth_url", "https://fail.example/x").Encode(),
		game("fail_auth_url", "https://fail.example@evil.example/x").Encode(),
		game("fail_auth_url", `https://fail.example\@evil.example/x`).Encode(),
		game("state", "1234567\r\nSet-Cookie: x=y").Encode(),
		game("state", "ünïcödé").Encode() + "&state=other+state",
		game("client_id", "4").Encode(),
		"client_id=1&redirect_uri=" + callback + "&&=&%zz=%zz;&response_type=code&response_type=code",
		"", "&", "=", "%", "client_id", "\x00\xff",
	} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	w := newWorld(f)
	w.Server.Limits.Lifetime = time.Millisecond
	cookie, _ := w.signIn(ada)
	f.Fuzz(func(t *testing.T, query string, signedIn bool) {
		w.Clock.Advance(time.Millisecond) // makes room for codes
		headers := []string(nil)
		if signedIn {
			headers = []string{"Cookie", cookie}
		}
		for _, path := range []string{authPath, "/api/oauth2/sso"} {
			a := w.Direct(http.MethodGet, path, query, "", headers...)
			locations := a.Header["Location"]
			switch a.Status {
			case http.StatusFound:
				if path != authPath || len(locations) != 1 || !mayGoTo(locations[0], signedIn) {
					t.Errorf("%q: %s goes to %q", query, path, locations)
				}
			case http.StatusOK:
				if path == authPath || !signedIn {
					t.Errorf("%q: %s answers 200", query, path)
				}
			case http.StatusBadRequest, http.StatusNotFound, http.StatusUnprocessableEntity, http.StatusUnauthorized:
				if len(locations) != 0 || !strings.HasPrefix(a.Body, `{"error":{"code":"`) {
					t.Errorf("%q: %d %q %s", query, a.Status, locations, a.Body)
				}
			default:
				t.Errorf("%q: %d %s", query, a.Status, a.Body)
			}
		}
	})
}

func mayGoTo(location string, signedIn bool) bool {
	u, err := url.Parse(location)
	if err != nil || u.User != nil {
		// The hosted page gets the query as it came.
		return !signedIn && strings.HasPrefix(location, issuer+"/sso/signin?")
	}
	switch u.Scheme + "://" + u.Host {
	case issuer:
		return signedIn == (u.Path == "/sso/widget")
	case "https://game.example":
		return signedIn && u.Path == "/cb" || !signedIn && strings.HasPrefix(location, "https://game.example/signed-out?lang=en&")
	case "https://fail.example":
		return !signedIn
	case "https://older.example":
		return signedIn && u.Path == "/cb"
	case "com.example.game://":
		return signedIn && u.Path == "/cb"
	}
	return signedIn && u.Scheme == "http" && (u.Hostname() == "127.0.0.1" || u.Hostname() == "localhost") && u.Path == "/callback"
}

// Whatever the form is, nothing but a code that was issued gives a token.
func FuzzTokenForm(f *testing.F) {
	unissued := strings.Repeat("A", 43)
	for _, seed := range []string{
		redemption(unissued).Encode(), backendRedemption(unissued).Encode(), redemption(unissued, "client_secret", "").Encode(),
		redemption(unissued, "grant_type", "refresh_token").Encode(), "grant_type=authorization_code&client_id=1&client_id=2",
		"code=%00&client_id=1&grant_type=authorization_code&redirect_uri=x", "", "&&", "%", "client_id=1;client_id=2", "\x00",
	} {
		f.Add(seed, form, "")
		f.Add(seed, form+"; charset=utf-8", basic("2", secret))
		f.Add(seed, "application/json", "Bearer x")
	}
	w := newWorld(f)
	f.Fuzz(func(t *testing.T, body, contentType, authorization string) {
		a := w.Direct(http.MethodPost, "/api/oauth2/token", "", body, "Content-Type", contentType, "Authorization", authorization)
		switch a.Status {
		case http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusRequestEntityTooLarge:
		default:
			t.Errorf("%q: %d %s", body, a.Status, a.Body)
		}
		if len(a.Header["Location"]) != 0 || !strings.HasPrefix(a.Body, `{"error":{"code":"`) {
			t.Errorf("%q: %s %s", body, a.Header, a.Body)
		}
	})
}
