package licenseapi_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/licenseapi"
)

// now is the Date that w's clock begins at, and vector its signature.
const (
	now    = "Tue, 07 Jun 2011 20:51:35 GMT"
	vector = "UDysfR6MndUZReo07Y9r+vErn8vSxrnQ5ulit18iJ/Q="
)

func TestEverySpellingOfTheAuthorizationIsTaken(t *testing.T) {
	w := newWorld(t)
	for _, authorization := range []string{
		`algorithm="hmac-sha256", headers="date", signature="` + vector + `", apikey="key"`,
		`algorithm="hmac-sha256",headers="date",signature="` + vector + `",apiKey="key"`,
		`apikey="key" , signature="` + vector + `",	headers="Date" ,algorithm="HMAC-SHA256"`,
		`algorithm="hmac-sha256", headers="date", version="2", signature="` + vector + `", apikey="key"`,
	} {
		got := w.send(http.MethodGet, ssoURL+"?"+query(), "", "Date", now, "Authorization", authorization)
		if got.Status != http.StatusOK {
			t.Errorf("%s: %d %s", authorization, got.Status, got.Body)
		}
	}
}

func TestEveryErrorOfTheAuthorization(t *testing.T) {
	const (
		invalid  = "Invalid headers value in authorization"
		right    = `algorithm="hmac-sha256", headers="date", signature="` + vector + `", apikey="key"`
		missing  = "Some parameters are missing in the authorization: "
		mismatch = "Signature mismatch"
	)
	long := strings.Repeat("a", 9<<10)
	for _, c := range []struct {
		name                string
		date, authorization string
		code, message       string
	}{
		{"nothing", "-", "-", "missing_headers", "Some headers are missing"},
		{"no date", "-", right, "missing_headers", "Some headers are missing"},
		{"no authorization", now, "-", "missing_headers", "Some headers are missing"},
		{"an empty date", "", right, "missing_headers", "Some headers are missing"},
		{"an empty authorization", now, "", "missing_headers", "Some headers are missing"},
		{"a bearer without a date", "-", "Bearer x", "missing_headers", "Some headers are missing"},

		{"no algorithm", now, `headers="date", signature="` + vector + `", apikey="key"`, "authorization_missing_params", missing + "algorithm"},
		{"no signature and no key", now, `algorithm="hmac-sha256", headers="date"`, "authorization_missing_params", missing + "signature, apikey"},
		{"an empty key", now, strings.Replace(right, `"key"`, `""`, 1), "authorization_missing_params", missing + "apikey"},
		{"an unknown parameter alone", now, `a="b"`, "authorization_missing_params", missing + "algorithm, headers, signature, apikey"},

		{"another algorithm", now, strings.Replace(right, "hmac-sha256", "hmac-sha1", 1), "hmac_required", "HMAC is required algorithm"},
		{"other headers", now, strings.Replace(right, `"date"`, `"date host"`, 1), "authorization_invalid_headers", invalid},
		{"a scheme word", now, "Signature " + right, "authorization_invalid_headers", invalid},
		{"Basic", now, "Basic a2V5OmtleQ==", "authorization_invalid_headers", invalid},
		{"no quotes", now, `algorithm=hmac-sha256, headers=date, signature=x, apikey=key`, "authorization_invalid_headers", invalid},
		{"an open quote", now, strings.TrimSuffix(right, `"`), "authorization_invalid_headers", invalid},
		{"an escape", now, strings.Replace(right, `"key"`, `"k\ey"`, 1), "authorization_invalid_headers", invalid},
		{"a comma at the end", now, right + ",", "authorization_invalid_headers", invalid},
		{"semicolons", now, strings.ReplaceAll(right, ",", ";"), "authorization_invalid_headers", invalid},
		{"a key twice", now, right + `, apikey="key"`, "authorization_invalid_headers", invalid},
		{"a key in both spellings", now, right + `, apiKey="other"`, "authorization_invalid_headers", invalid},
		{"a long one", now, right + `, x="` + long + `"`, "authorization_invalid_headers", invalid},
		{"bytes that are no UTF-8", now, right + ", x=\"\xff\"", "authorization_invalid_headers", invalid},

		{"an unknown key", now, strings.Replace(right, `"key"`, `"nope"`, 1), "invalid_api_key", "Provided API key is not valid"},
		{"a key in another case", now, strings.Replace(right, `"key"`, `"KEY"`, 1), "invalid_api_key", "Provided API key is not valid"},
		{"another key's signature", now, strings.Replace(right, `"key"`, `"other"`, 1), "signature_mismatch", mismatch},
		{"another date's signature", "Tue, 07 Jun 2011 20:51:34 GMT", right, "signature_mismatch", mismatch},
		{"a signature that is no base64", now, strings.Replace(right, vector, "????", 1), "signature_mismatch", mismatch},
		{"a signature without padding", now, strings.Replace(right, vector, strings.TrimSuffix(vector, "="), 1), "signature_mismatch", mismatch},
		{"half a signature", now, strings.Replace(right, vector, base64.StdEncoding.EncodeToString(make([]byte, 16)), 1), "signature_mismatch", mismatch},
		{"a revoked key", now, strings.Replace(right, `"key"`, `"revoked"`, 1), "revoked_api_key", "Provided API key was revoked"},
		{"a revoked key, with a wrong signature", now, `algorithm="hmac-sha256", headers="date", signature="AAAA", apikey="revoked"`, "signature_mismatch", mismatch},
		{"a key that only reads", now, strings.Replace(right, `"key"`, `"reads"`, 1), "read_only_api_key", "Provided API key is read-only"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			r := httptest.NewRequest(http.MethodGet, ssoURL+"?"+query(), nil)
			setHeaders(r.Header, []string{"Date", c.date, "Authorization", c.authorization})
			wantError(t, w.direct(r), 400, c.code, c.message)
		})
	}
	t.Run("headers twice", func(t *testing.T) {
		w := newWorld(t)
		wantError(t, w.send(http.MethodGet, ssoURL+"?"+query(), "", append(w.signed(), "Date", now)...), 400, "authorization_invalid_headers", invalid)
		wantError(t, w.send(http.MethodGet, ssoURL+"?"+query(), "", append(w.signed(), "Authorization", right)...), 400, "authorization_invalid_headers", invalid)
	})
}

// The signature is over the bytes of the header, whatever is made of them.
func TestADateMayBeWrittenInAnyWayThatClientsDo(t *testing.T) {
	w := newWorld(t)
	for date, taken := range map[string]bool{
		"Tue, 07 Jun 2011 20:51:35 GMT":     true,
		"Tue, 7 Jun 2011 20:51:35 GMT":      true, // one client's
		"Tue, 07 Jun 2011 20:51:35 UTC":     true,
		"Tue, 07 Jun 2011 22:51:35 +0200":   true,
		"Tuesday, 07-Jun-11 20:51:35 GMT":   true, // RFC 850
		"Tuesday, 7-Jun-11 20:51:35 GMT":    true,
		"Tue Jun  7 20:51:35 2011":          true, // asctime
		"Tue Jun 7 20:51:35 2011":           true,
		"2011-06-07T20:51:35Z":              false,
		"1307479895":                        false,
		"Tue, 07 Jun 2011":                  false,
		"Tue, 32 Jun 2011 20:51:35 GMT":     false,
		"now":                               false,
		now + strings.Repeat(" ", 64) + "x": false,
	} {
		got := w.send(http.MethodGet, ssoURL+"?"+query(), "", signedAt(date)...)
		if taken && got.Status != http.StatusOK {
			t.Errorf("%s: %d %s", date, got.Status, got.Body)
		}
		if !taken {
			wantError(t, got, 400, "authorization_invalid_headers", "Invalid headers value in authorization")
		}
	}
}

func TestClocksMayBeAQuarterOfAnHourApart(t *testing.T) {
	for _, c := range []struct {
		skew    time.Duration // setting
		off     time.Duration // of the client
		message string
	}{
		{0, -14 * time.Minute, ""},
		{0, 14 * time.Minute, ""},
		{0, -15 * time.Minute, ""},
		{0, 15 * time.Minute, ""},
		{0, -16 * time.Minute, "The Date header is 16m0s behind the server's clock; at most 15m0s is accepted"},
		{0, 16 * time.Minute, "The Date header is 16m0s ahead of the server's clock; at most 15m0s is accepted"},
		{time.Minute, -2 * time.Minute, "The Date header is 2m0s behind the server's clock; at most 1m0s is accepted"},
		{time.Hour, -59 * time.Minute, ""},
		{0, -200 * 365 * 24 * time.Hour, "The Date header is 1752000h0m0s behind the server's clock; at most 15m0s is accepted"},
		{0, 290 * 365 * 24 * time.Hour, "The Date header is 2540400h0m0s ahead of the server's clock; at most 15m0s is accepted"},
	} {
		t.Run(fmt.Sprint(c.off, " of ", c.skew), func(t *testing.T) {
			w := newWorld(t)
			w.api.ClockSkew = c.skew
			got := w.send(http.MethodGet, ssoURL+"?"+query(), "", signedAt(start.Add(c.off).Format(http.TimeFormat))...)
			if c.message == "" && got.Status != http.StatusOK {
				t.Errorf("%d %s", got.Status, got.Body)
			}
			if c.message != "" {
				wantError(t, got, 400, "date_header_diff", c.message)
			}
		})
	}
}

// Further ahead than a time.Duration holds.
func TestADateOfTheYear9999IsRefused(t *testing.T) {
	w := newWorld(t)
	got := w.send(http.MethodGet, ssoURL+"?"+query(), "", signedAt("Fri, 31 Dec 9999 23:59:59 GMT")...)
	wantError(t, got, 400, "date_header_diff", "The Date header is 2562047h47m16.854775807s ahead of the server's clock; at most 15m0s is accepted")
}

// The published signature covers the date alone, so it can be sent again. What
// it gets is a link that signs nobody in, each one another.
func TestAReplayedSignatureGetsALinkOfItsOwnUntilItIsTooOld(t *testing.T) {
	w := newWorld(t)
	headers := w.signed()
	first := w.send(http.MethodGet, ssoURL+"?"+query(), "", headers...)
	w.Clock.Advance(15 * time.Minute)
	second := w.send(http.MethodGet, ssoURL+"?"+query(), "", headers...)
	if first.Status != http.StatusOK || second.Status != http.StatusOK || first.Body == second.Body {
		t.Errorf("%d %s\n%d %s", first.Status, first.Body, second.Status, second.Body)
	}
	w.Clock.Advance(time.Second)
	wantError(t, w.send(http.MethodGet, ssoURL+"?"+query(), "", headers...), 400, "date_header_diff",
		"The Date header is 15m1s behind the server's clock; at most 15m0s is accepted")
}

// bearer gets a client a token of its own.
func (w *world) bearer(id string, audience ...string) string {
	w.T.Helper()
	c, _ := w.Server.Clients.Get(id)
	tokens, refusal := w.Server.ClientToken(w.T.Context(), c, nil, audience, "192.0.2.1")
	if refusal != nil {
		w.T.Fatal(refusal)
	}
	return tokens.Access
}

func TestAClientsOwnTokenCounts(t *testing.T) {
	const invalid = "Invalid headers value in authorization"
	w := newWorld(t)
	tokens := w.tokens()
	for _, c := range []struct {
		name, authorization, date string
		advance                   time.Duration
		status                    int
		code, message             string
	}{
		{"a token", "Bearer " + w.bearer("3"), now, 0, 200, "", ""},
		{"the scheme in another case", "bearer  " + w.bearer("3"), now, 0, 200, "", ""},
		{"an old date", "Bearer " + w.bearer("3"), "Tue, 07 Jun 2011 20:31:35 GMT", 0, 400, "date_header_diff", "The Date header is 20m0s behind the server's clock; at most 15m0s is accepted"},
		{"a date that is none", "Bearer " + w.bearer("3"), "now", 0, 400, "authorization_invalid_headers", invalid},
		{"no token", "Bearer x", now, 0, 401, "oauth_token_malformed", "Provided OAuth token is not valid"},
		{"an empty token", "Bearer ", now, 0, 401, "oauth_token_malformed", "Provided OAuth token is not valid"},
		{"a token cut short", "Bearer " + strings.TrimRight(w.bearer("3"), "=")[:100], now, 0, 401, "oauth_token_malformed", "Provided OAuth token is not valid"},
		{"an ID token", "Bearer " + tokens.ID, now, 0, 401, "oauth_token_malformed", "Provided OAuth token is not valid"},
		// Another token would not help: no client is sent to get one.
		{"a user's token", "Bearer " + tokens.Access, now, 0, 400, "authorization_invalid_headers", invalid},
		{"a user's token of a client that may", "Bearer " + w.tokens("product", "back").Access, now, 0, 400, "authorization_invalid_headers", invalid},
		{"a client that may not", "Bearer " + w.bearer("4"), now, 0, 400, "authorization_invalid_headers", invalid},
		{"a token for another audience (class 26)", "Bearer " + w.bearer("3", "else"), now, 0, 400, "authorization_invalid_headers", invalid},
		{"an expired token", "Bearer " + w.bearer("3"), "Tue, 07 Jun 2011 21:51:35 GMT", time.Hour, 401, "oauth_token_expired", "Provided OAuth token has expired"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.Clock.Advance(c.advance)
			r := httptest.NewRequest(http.MethodGet, ssoURL+"?"+query(), nil)
			setHeaders(r.Header, []string{"Date", c.date, "Authorization", c.authorization})
			got := w.direct(r)
			if c.code != "" {
				wantError(t, got, c.status, c.code, c.message)
			} else if got.Status != http.StatusOK {
				t.Errorf("%d %s", got.Status, got.Body)
			}
		})
	}
}

// What an unknown key costs is what a known one costs: one comparison.
func TestClass29AnUnknownKeyIsComparedLikeAKnownOne(t *testing.T) {
	w := newWorld(t)
	cost := func(key string) float64 {
		r := httptest.NewRequest(http.MethodGet, ssoURL, nil)
		setHeaders(r.Header, []string{"Date", now, "Authorization", `algorithm="hmac-sha256", headers="date", signature="` + strings.Replace(vector, "U", "A", 1) + `", apikey="` + key + `"`})
		return testing.AllocsPerRun(20, func() { w.api.Endpoint(ssoURL)(httptest.NewRecorder(), r) })
	}
	// What is allocated stands for what is done: HMAC allocates.
	known, unknown := cost("key"), cost("nope")
	if d := known - unknown; d > 1 || d < -1 {
		t.Errorf("a known key takes %v allocations, an unknown one %v", known, unknown)
	}
}

func TestASharedKeyIsNotPrinted(t *testing.T) {
	key := licenseapi.APIKey{Shared: licenseapi.NewSharedKey(sharedKey)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q"} {
		if got := fmt.Sprintf(verb, key); strings.Contains(got, sharedKey) || strings.Contains(got, fmt.Sprintf("%x", sharedKey)) || strings.Contains(got, "107 119 52") {
			t.Errorf("%s prints %s", verb, got)
		}
	}
}

func FuzzAuthorization(f *testing.F) {
	for _, seed := range []string{
		licenseapi.Authorization("key", licenseapi.NewSharedKey(sharedKey), now),
		`algorithm="hmac-sha256",headers="date",signature="` + vector + `",apiKey="key"`,
		`algorithm="hmac-sha256", headers="date", signature="", apikey="revoked"`,
		"Bearer a.b.c", "Bearer", "", "=", `="`, `a=""`, `a="`, `a="",`, `a="",,`, "\x00", `apikey="\"`, "Basic eA==",
	} {
		f.Add(seed, now)
		f.Add(seed, "Tue Jun  7 20:51:35 2011")
	}
	shared := newWorld(f)
	f.Fuzz(func(t *testing.T, authorization, date string) {
		w := *shared
		w.T = t
		r := httptest.NewRequest(http.MethodGet, ssoURL+"?"+query(), nil)
		r.Header["Authorization"], r.Header["Date"] = []string{authorization}, []string{date}
		got := w.direct(r)
		switch got.Status {
		case http.StatusOK:
			if !strings.Contains(authorization, base64.StdEncoding.EncodeToString(licenseapi.SignatureOf(sharedKey, date))) {
				t.Errorf("%q %q was taken", authorization, date)
			}
		case http.StatusBadRequest, http.StatusUnauthorized:
			if !strings.HasPrefix(got.Body, `{"status":`) {
				t.Errorf("%q: %s", authorization, got.Body)
			}
		default:
			t.Errorf("%q %q: %d %s", authorization, date, got.Status, got.Body)
		}
	})
}
