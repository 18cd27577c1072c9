package loginapi_test

import (
	"encoding/base64"
	"encoding/json"
	"hash/fnv"
	"math"
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

const badGrant = "The code is invalid, expired, used already, or was issued for another client or redirect_uri."

// backend is the query of client 2, which has a secret.
func backend(changes ...string) url.Values {
	return changed(game("client_id", "2", "redirect_uri", "https://server.example/cb", "audience", "server",
		"code_challenge", "-", "code_challenge_method", "-"), changes)
}

func backendRedemption(code string, changes ...string) url.Values {
	return changed(redemption(code, "client_id", "2", "client_secret", secret, "redirect_uri", "https://server.example/cb", "code_verifier", "-"), changes)
}

func TestACodeBecomesTheTokenOfTheReference(t *testing.T) {
	w := newWorld(t)
	cookie, sess := w.signIn(ada)
	audience := "game " + url.QueryEscape("https://api.example/a b+c")
	code := w.code(cookie, game("scope", "offline email playfab", "audience", audience))
	w.Clock.Advance(10 * time.Second)
	a := w.token(redemption(code))
	if shape := regexp.MustCompile(`^\{"access_token":"[\w-]+\.[\w-]+\.[\w-]+","expires_in":3600,"refresh_token":"[\w-]{100,}","token_type":"bearer"\}\n$`); !shape.MatchString(a.Body) {
		t.Errorf("got %s", a.Body)
	}
	wantHeaders(t, a, "Content-Type", "application/json", "Cache-Control", "no-store", "Pragma", "no-cache",
		"Referrer-Policy", "no-referrer", "X-Content-Type-Options", "nosniff", "Set-Cookie", "")

	claims := w.accessToken(a, keys.RS256)
	if len(claims.ID) != 22 || len(claims.Grant) != 24 || !strings.HasSuffix(claims.Grant, ".1") {
		t.Errorf("jti %q, gid %q", claims.ID, claims.Grant)
	}
	key := sess.Key()
	claims.ID, claims.Grant = "", ""
	want := oauth.Claims{
		Issuer: issuer, Subject: ada.Subject, Audience: []string{"game", "https://api.example/a b+c"},
		Expires: start.Unix() + 3610, IssuedAt: start.Unix() + 10, Scopes: []string{"offline", "email"},
		Groups:  []oauth.GroupClaim{{ID: low31("players"), Name: "players", IsDefault: true}, {ID: low31("crew"), Name: "crew"}},
		Project: "1", Username: "ada", Email: ada.Email, ClientID: "1", SessionID: base64.RawURLEncoding.EncodeToString(key[:]),
	}
	if !reflect.DeepEqual(claims, want) {
		t.Errorf("got  %+v\nwant %+v", claims, want)
	}
}

// low31 is what clients that read a signed integer of 32 bits can read of a hash.
func low31(s string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(s))
	return h.Sum32() & math.MaxInt32
}

func TestTheTokensOfEachClientAreItsOwn(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	for _, tt := range []struct {
		name      string
		query     url.Values
		form      func(code string) url.Values
		alg       keys.Algorithm
		aud, scp  []string
		project   string
		withEmail bool
	}{
		{"no scope asked for, no e-mail", game("scope", ""), func(c string) url.Values { return redemption(c) }, keys.RS256, []string{"game"}, []string{}, "1", false},
		{"ES256 and a project", backend(), func(c string) url.Values { return backendRedemption(c) }, keys.ES256, []string{"server"}, []string{"email"}, project, true},
		{
			"EdDSA, scope *, no PKCE",
			game("client_id", "4", "redirect_uri", "https://older.example/cb", "scope", "one two one", "audience", "other", "code_challenge", "-", "code_challenge_method", "-"),
			func(c string) url.Values {
				return redemption(c, "client_id", "4", "redirect_uri", "https://older.example/cb", "code_verifier", "-")
			},
			keys.EdDSA,
			[]string{"other"},
			[]string{"one", "two"},
			"4", false,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := w.token(tt.form(w.code(cookie, tt.query)))
			claims := w.accessToken(a, tt.alg)
			if !reflect.DeepEqual(claims.Audience, tt.aud) || !reflect.DeepEqual(claims.Scopes, tt.scp) || claims.Project != tt.project || (claims.Email != "") != tt.withEmail {
				t.Errorf("%+v", claims)
			}
			var body struct {
				Token string `json:"access_token"`
			}
			if err := json.Unmarshal([]byte(a.Body), &body); err != nil {
				t.Fatal(err)
			}
			signed, err := jose.ParseSignedCompact(body.Token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(tt.alg)})
			if err != nil {
				t.Fatal(err)
			}
			header := signed.Signatures[0].Protected
			if header.KeyID == "" || header.ExtraHeaders[jose.HeaderType] != "JWT" {
				t.Errorf("header %+v", header)
			}
		})
	}
}

func TestAUserWithNoGroupsHasAnEmptyListOfThem(t *testing.T) {
	w := newWorld(t)
	bare := ada
	bare.Groups = nil
	cookie, _ := w.signIn(bare)
	a := w.token(redemption(w.code(cookie, game("scope", ""))))
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(a.Body, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	for _, empty := range []string{`"groups":[]`, `"scp":[]`} {
		if !strings.Contains(string(payload), empty) {
			t.Errorf("no %s in %s", empty, payload)
		}
	}
}

func TestTheTokenEndpointRefusesWithTheErrorsOfTheReference(t *testing.T) {
	w := newWorld(t)
	const failed = "Client authentication failed."
	const both = "The client should authenticate in the body or by HTTP Basic, not by both."
	const urlencoded = "The body should be application/x-www-form-urlencoded."
	for _, tt := range []struct {
		name        string
		form        url.Values
		headers     []string
		status      int
		code        string
		description string
	}{
		{"client_id missing", redemption("x", "client_id", "-"), nil, 400, "0", "client_id is missing."},
		{"grant_type missing", redemption("x", "grant_type", "-"), nil, 400, "0", "grant_type is missing."},
		{"grant_type empty", redemption("x", "grant_type", ""), nil, 400, "0", "grant_type is missing."},
		{"grant_type password", redemption("x", "grant_type", "password"), nil, 400, "0", "grant_type should be one of [authorization_code refresh_token client_credentials urn:ietf:params:oauth:grant-type:token_exchange]."},
		{"code missing", redemption("x", "code", "-"), nil, 400, "0", "code is missing."},
		{"code empty", redemption(""), nil, 400, "0", "code is missing."},
		{"redirect_uri missing", redemption("x", "redirect_uri", "-"), nil, 400, "0", "redirect_uri is missing."},
		{"code unknown", redemption(strings.Repeat("A", 43)), nil, 400, "010-023", badGrant},
		{"code malformed", redemption("x"), nil, 400, "010-023", badGrant},
		{"client unknown", redemption("x", "client_id", "99"), nil, 400, "010-019", failed},
		{"client unknown, with a secret", redemption("x", "client_id", "99", "client_secret", secret), nil, 400, "010-019", failed},
		{"secret wrong", backendRedemption("x", "client_secret", secret+" "), nil, 400, "010-019", failed},
		{"secret empty", backendRedemption("x", "client_secret", ""), nil, 400, "010-019", failed},
		{"secret missing", backendRedemption("x", "client_secret", "-"), nil, 400, "010-019", failed},
		{"secret of a public client", redemption("x", "client_secret", "s"), nil, 400, "010-019", "This client is public and has no secret; leave client_secret out."},
		{"client disabled", redemption("x", "client_id", "3"), nil, 422, "003-020", "This client is disabled."},
		{"Basic with a wrong secret", backendRedemption("x", "client_secret", "-"), []string{"Authorization", basic("2", "wrong")}, 400, "010-019", failed},
		{"Basic with an unknown client", redemption("x", "client_id", "-"), []string{"Authorization", basic("99", "wrong")}, 400, "010-019", failed},
		{"Basic and client_secret", backendRedemption("x"), []string{"Authorization", basic("2", secret)}, 400, "0", both},
		{"Basic and another client_id", redemption("x"), []string{"Authorization", basic("2", secret)}, 400, "0", both},
		{"Bearer", redemption("x"), []string{"Authorization", "Bearer abc"}, 400, "010-019", "The Authorization header should be HTTP Basic."},
		{"Basic that is no base64", redemption("x"), []string{"Authorization", "Basic %%%"}, 400, "010-019", "The Authorization header should be HTTP Basic."},
		{"Basic with a wrong secret that is not URL-encoded", redemption("x", "client_id", "-"), []string{"Authorization", rawBasic("2", "%zz")}, 400, "010-019", failed},
		{"Basic of two clients", redemption("x", "client_id", "-"), []string{"Authorization", basic("2", secret), "Authorization", basic("5", secret)}, 400, "0", "The request has more than one Authorization header."},
		{"Basic and Bearer", redemption("x", "client_id", "-"), []string{"Authorization", "Bearer x", "Authorization", basic("2", secret)}, 400, "0", "The request has more than one Authorization header."},
		{"JSON", redemption("x"), []string{"Content-Type", "application/json"}, 400, "0", urlencoded},
		{"multipart", redemption("x"), []string{"Content-Type", "multipart/form-data; boundary=x"}, 400, "0", urlencoded},
		{"a broken content type", redemption("x"), []string{"Content-Type", form + "; ="}, 400, "0", urlencoded},
	} {
		t.Run(tt.name, func(t *testing.T) {
			headers := append([]string{}, tt.headers...)
			if len(headers) == 0 || headers[0] != "Content-Type" {
				headers = append(headers, "Content-Type", form)
			}
			a := w.Send(http.MethodPost, "/api/oauth2/token", tt.form.Encode(), headers...)
			wantError(t, a, tt.status, tt.code, tt.description)
		})
	}
	wantError(t, w.Send(http.MethodPost, "/api/oauth2/token", redemption("x").Encode()), 400, "0", urlencoded)
}

func TestWhatTheTokenEndpointTakes(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	for name, send := range map[string]func() answer{
		"a secret in the body": func() answer { return w.token(backendRedemption(w.code(cookie, backend()))) },
		"a secret by Basic": func() answer {
			return w.token(backendRedemption(w.code(cookie, backend()), "client_id", "-", "client_secret", "-"), "Authorization", basic("2", secret))
		},
		"a secret by Basic, as curl sends it": func() answer {
			return w.token(backendRedemption(w.code(cookie, backend()), "client_id", "-", "client_secret", "-"), "Authorization", rawBasic("2", secret))
		},
		"Basic and the same ID": func() answer {
			return w.token(backendRedemption(w.code(cookie, backend()), "client_secret", "-"), "Authorization", basic("2", secret))
		},
		"a secret and PKCE": func() answer {
			code := w.code(cookie, backend("code_challenge", oauth.Challenge(verifier), "code_challenge_method", "S256"))
			return w.token(backendRedemption(code, "code_verifier", verifier))
		},
		"an empty secret of a public client": func() answer { return w.token(redemption(w.code(cookie, game()), "client_secret", "")) },
		"a public client by Basic": func() answer {
			return w.token(redemption(w.code(cookie, game()), "client_id", "-"), "Authorization", basic("1", ""))
		},
		"a content type with a charset": func() answer {
			return w.Send(http.MethodPost, "/api/oauth2/token", redemption(w.code(cookie, game())).Encode(), "Content-Type", "Application/X-WWW-Form-URLEncoded; charset=UTF-8")
		},
		"unknown parameters": func() answer {
			return w.token(redemption(w.code(cookie, game()), "scope", "email", "client_assertion", "x"))
		},
		"two slashes after api": func() answer {
			return w.Send(http.MethodPost, "/api//oauth2/token", redemption(w.code(cookie, game())).Encode(), "Content-Type", form)
		},
		"a loopback port": func() answer {
			const native = "http://127.0.0.1:50123/callback"
			return w.token(redemption(w.code(cookie, game("redirect_uri", native)), "redirect_uri", native))
		},
	} {
		t.Run(name, func(t *testing.T) {
			if a := send(); a.Status != http.StatusOK {
				t.Errorf("%d %s", a.Status, a.Body)
			}
		})
	}
}

func TestEveryParameterOfTheTokenEndpointIsHeldToItsForm(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	code := w.code(cookie, game())
	q := redemption(code, "client_secret", "")
	for name := range q {
		for broken, description := range map[string]string{
			name + "=a&" + name + "=b": name + " is there more than once, with different values.",
			name + "=%ff":              name + " has control characters or is not UTF-8.",
			name + "=a%00b":            name + " has control characters or is not UTF-8.",
			name + "=a\x00b":           name + " has control characters or is not UTF-8.",
			name + "=a%0ab":            name + " has control characters or is not UTF-8.",
			name + "=%zz":              name + " is not URL-encoded.",
			name + "=" + strings.Repeat("a", 16<<10+1): name + " is longer than 16384 bytes.",
		} {
			a := w.Send(http.MethodPost, "/api/oauth2/token", broken+"&"+q.Encode(), "Content-Type", form)
			wantError(t, a, 400, "0", description)
		}
		a := w.Send(http.MethodPost, "/api/oauth2/token", q.Encode()+"&"+name+"="+strings.Repeat("a", 1<<20), "Content-Type", form)
		wantError(t, a, 413, "0", "The body is too large.")
	}
	// None of it cost the code. A parameter in the query is none.
	if a := w.Send(http.MethodPost, "/api/oauth2/token?client_id=2", q.Encode()+"&"+q.Encode(), "Content-Type", form); a.Status != http.StatusOK {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

func TestClass24BodiesAreBounded(t *testing.T) {
	w := newWorld(t)
	pad := func(size int) string {
		body := redemption("x").Encode() + "&pad="
		return body + strings.Repeat("a", size-len(body))
	}
	wantError(t, w.Send(http.MethodPost, "/api/oauth2/token", pad(64<<10), "Content-Type", form), 400, "010-023", badGrant)
	wantError(t, w.Send(http.MethodPost, "/api/oauth2/token", pad(64<<10+1), "Content-Type", form), 413, "0", "The body is too large.")
}

func TestAStoreThatIsDownDoesNotCostTheCode(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.signIn(ada)
	code := w.code(cookie, game())
	w.Restart()
	w.Store.Down(true)
	a := w.token(redemption(code))
	wantError(t, a, 418, "004-001", "Something went wrong.")
	wantHeaders(t, a, "Retry-After", "1")
	w.Store.Down(false)
	if a := w.token(redemption(code)); a.Status != http.StatusOK {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}
