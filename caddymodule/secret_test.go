package caddymodule

import (
	"encoding/base64"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/redistest"
	"github.com/caddy-sso/caddy-sso/storage/redis"
)

// A secret of 40 characters is long enough for every setting.
const someSecret = "0123456789abcdef0123456789abcdef01234567"

// secretSettings are all settings with a secret in them; SECRET stands for it.
var secretSettings = map[string]setup{
	"the secret of a client":    {global: "client 2 {\nsecret SECRET\nredirect_uri http://SITE/x\n}"},
	"hs256_key":                 {global: "client 2 {\npublic\nredirect_uri http://SITE/x\ntoken_alg HS256\nhs256_key SECRET\n}"},
	"client_secret":             {global: "signin oidc acme {\nissuer http://localhost:1\nclient_id x\nclient_secret SECRET\n}"},
	"the secret of a backend":   {global: "signin backend own {\nurl http://localhost:1\nsecret SECRET\n}"},
	"the secret of a page":      {global: "signin trusted own {\nurl http://localhost:1\nsecret SECRET\n}"},
	"an API key":                {global: "license {\napi_key SECRET " + someSecret + "\n}"},
	"the shared key of it":      {global: "license {\napi_key key SECRET\n}"},
	"the secret of a provision": {global: strings.NewReplacer("PROVISION", "provision http://localhost:1 SECRET", "{env.LICENSE_TEST_SHARED_KEY}", licenseShared).Replace(licensed)},
	"storage_key":               {storage: "storage redis redis://localhost:1 {\nstorage_key SECRET\n}"},
	"the password of the store": {storage: "storage redis redis://:SECRET@localhost:1 {\nstorage_key " + someSecret + "\n}"},
	"the hash of a user":        {local: "user ann SECRET"},
}

func (s setup) with(secret string) setup {
	for _, text := range []*string{&s.storage, &s.global, &s.local} {
		*text = strings.ReplaceAll(*text, "SECRET", secret)
	}
	return s
}

// checked does what `caddy validate` does with a Caddyfile.
func (w *world) checked(s setup) error {
	config, err := adapt(w.caddyfile(s))
	if err != nil {
		return err
	}
	return validate(config)
}

func TestASecretHasOneLineEndAndNothingElseAroundIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	for _, c := range []struct{ around, wrong string }{
		{"SECRET", ""},
		{"SECRET\n", ""},
		{"SECRET\r\n", ""},
		{"SECRET\n\n", "ends with a line end"},
		{"SECRET\r\n\r\n", "ends with a line end"},
		{"\nSECRET", "begins with a line end"},
		{" SECRET", "begins with a blank"},
		{"SECRET \n", "ends with a blank"},
		{"SECRET\t", "ends with a blank"},
		{"SECRET\u00a0", "U+00A0"},
		{"SECRET\u200b", "U+200B"},
		{"SECRET\x00", "U+0000"},
		{"\ufeffSECRET\n", "begins with a byte order mark"},
		{"\xff\xfeSECRET", "is UTF-16"},
		{"\n", "empty"},
		{"", "empty"},
	} {
		for name, s := range secretSettings {
			secret := someSecret
			if strings.Contains(name, "hash") {
				secret = demoHash
			}
			content := strings.Replace(c.around, "SECRET", secret, 1)
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			placeholders := []string{"{file." + path + "}"}
			if !strings.Contains(content, "\x00") { // no variable can have it
				t.Setenv("SSO_TEST_SECRET", content)
				placeholders = append(placeholders, "{env.SSO_TEST_SECRET}")
			}
			for _, placeholder := range placeholders {
				err := newCheckedWorld(t).checked(s.with(placeholder))
				if c.wrong == "" && err != nil {
					t.Errorf("%s, %.6s, %q: %v", name, placeholder, c.around, err)
				}
				if c.wrong == "" {
					continue
				}
				if err == nil || !strings.Contains(err.Error(), c.wrong) || !strings.Contains(err.Error(), placeholder) || strings.Contains(err.Error(), secret) {
					t.Errorf("%s, %.6s, %q: %v", name, placeholder, c.around, err)
				}
			}
		}
	}
}

// newCheckedWorld is one of which nothing runs.
func newCheckedWorld(t *testing.T) *world {
	return &world{t: t, dir: t.TempDir(), portal: "localhost:1", site: "localhost:2", admin: "localhost:3"}
}

func TestASecretInTheCaddyfileHasNothingAroundIt(t *testing.T) {
	for name, s := range secretSettings {
		if strings.Contains(name, "password") || strings.Contains(name, "hash") {
			continue // neither URLs nor hashes have blanks
		}
		for _, written := range []string{`" ` + someSecret + `"`, `"` + someSecret + ` "`, "\"" + someSecret + "\u00a0\"", "\"\ufeff" + someSecret + "\""} {
			w := newCheckedWorld(t)
			_, err := adapt(w.caddyfile(s.with(written)))
			if err == nil || !strings.Contains(err.Error(), "Caddyfile:") || !strings.Contains(err.Error(), "remove it") && !strings.Contains(err.Error(), "without one") || strings.Contains(err.Error(), someSecret) {
				t.Errorf("%s, %+q: %v", name, written, err)
			}
		}
	}
}

func TestASecretFromTheEnvironmentCountsWithoutItsLineEnd(t *testing.T) {
	t.Setenv("SSO_TEST_SECRET", someSecret+"\n")
	t.Setenv("SSO_TEST_USER", demoHash+"\n")
	w := newWorld(t)
	w.mustLoad(setup{
		local:  "user ann {env.SSO_TEST_USER} {\ngroup players\n}",
		global: "client 3 {\nsecret {env.SSO_TEST_SECRET}\nredirect_uri http://SITE/x\n}",
	})
	v := w.visitor()
	if got := v.submit(v.get("http://"+w.site+"/"), "ann", "demo"); got.body != "hello ann" {
		t.Errorf("%s: %s", got.Status, got.body)
	}
	for secret, want := range map[string]int{someSecret: http.StatusOK, someSecret + "\n": http.StatusBadRequest} {
		r := v.request(http.MethodPost, "http://"+w.portal+"/api/oauth2/token", "grant_type=client_credentials")
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("3:"+secret)))
		if got := v.send(r); got.StatusCode != want {
			t.Errorf("%q: %s: %s", secret, got.Status, got.body)
		}
	}
}

func TestAHashThatIsNoneIsNamedByItsUser(t *testing.T) {
	t.Setenv("SSO_TEST_USER", "hunter2")
	for placeholder, want := range map[string]string{
		"{env.SSO_TEST_USER}": "caddy hash-password", "{env.SSO_TEST_UNSET}": "{env.SSO_TEST_UNSET} is empty",
		"{file./nowhere}": "{file./nowhere}", "{sso.nothing}": "unrecognized placeholder {sso.nothing}",
	} {
		err := newCheckedWorld(t).checked(setup{local: "user ann " + placeholder})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), `"ann"`) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", placeholder, err)
		}
	}
}

// A release that took the line end for a part of storage_key sealed the signing keys
// under it.
func TestKeysThatWereSealedUnderALineEndAreStillThere(t *testing.T) {
	server := redistest.Start(t)
	store, err := redis.Open(server.URL(), redis.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	ring := keys.NewRing(keys.NewStoreVault(store, []byte(someSecret+"\n"), nil), keys.Options{Now: time.Now, Algorithms: []keys.Algorithm{keys.ES256, keys.RS256}})
	eventually(t, "keys are made", func() bool { return ring.Load(t.Context()) == nil })
	public, err := ring.Public(t.Context(), keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	// The first sees the line end, and the second does not know of one any more.
	for _, key := range []string{someSecret + "\n", someSecret} {
		t.Setenv("SSO_TEST_SECRET", key)
		w := newWorld(t)
		w.mustLoad(setup{storage: "storage redis " + server.URL() + " {\nstorage_key {env.SSO_TEST_SECRET}\n}"})
		if got := w.visitor().get("http://" + w.portal + "/oauth2/jwks"); !strings.Contains(got.body, public[0].KeyID) {
			t.Errorf("%q: no %s in %s", key, public[0].KeyID, got.body)
		}
		if err := caddy.Stop(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheSharedKeyOfACommandHasNothingAroundIt(t *testing.T) {
	sign := func(shared string) (string, error) {
		t.Setenv("SSO_SHARED_KEY", shared)
		return sso(t, "", "license", "sign", "--api-key", "key", "--date", "Mon, 30 Nov 2026 00:00:00 GMT")
	}
	right, err := sign(licenseShared)
	if err != nil {
		t.Fatal(right)
	}
	if got, err := sign(licenseShared + "\n"); got != right || err != nil {
		t.Errorf("%v: %s", err, got)
	}
	if got, err := sign(licenseShared + " "); err == nil || !strings.Contains(got, "ends with a blank") {
		t.Errorf("%v: %s", err, got)
	}
}
