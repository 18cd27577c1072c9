package caddymodule

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// details asks users/me who a token is of.
func (v *visitor) details(token string) (said struct {
	Name       string    `json:"name"`
	LastLogin  time.Time `json:"last_login"`
	Registered time.Time `json:"registered"`
},
) {
	v.t.Helper()
	r := v.request(http.MethodGet, "http://"+v.portal+"/api/users/me", "")
	r.Header.Set("Authorization", "Bearer "+token)
	got := v.send(r)
	if err := json.Unmarshal([]byte(got.body), &said); err != nil || got.StatusCode != http.StatusOK {
		v.t.Fatalf("%s: %v: %s", got.Status, err, got.body)
	}
	return said
}

func TestRegisteredIsWhatTheConfigurationAFileOrABackendSays(t *testing.T) {
	t.Setenv("SSO_TEST_HS256_KEY", hs256Key)
	w := newWorld(t)
	backend := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		io.WriteString(rw, `{"user":{"subject":"17","name":"zoe","registered":"2021-07-03T22:10:00+02:00"}}`) //nolint:errcheck // the test sees it
	}))
	defer backend.Close()
	w.mustLoad(setup{
		local:  "user old " + demoHash + " {\nregistered 2019-04-27T15:41:02Z\n}\nusers " + w.usersFile(strings.Replace(ann, `"groups"`, `"registered":"2020-02-29","groups"`, 1)),
		global: loginClients + "\nsignin backend accounts {\nurl " + backend.URL + "\nsecret " + ownSecret + "\ntimeout 5s\n}",
	})
	before := time.Now().Truncate(time.Second)
	for name, want := range map[string]string{
		"old": "2019-04-27T15:41:02Z", "ann": "2020-02-29T00:00:00Z", "zoe": "2021-07-03T20:10:00Z", "demo": "",
	} {
		v := w.visitor()
		said := v.details(v.tokensOf(name, "demo").Access)
		if said.Name != name || said.LastLogin.Before(before) || said.LastLogin.After(time.Now()) {
			t.Errorf("%s: %+v", name, said)
		}
		if want == "" {
			want = said.LastLogin.UTC().Format(time.RFC3339)
		}
		if got := said.Registered.UTC().Format(time.RFC3339); got != want {
			t.Errorf("%s was registered at %s, want %s", name, got, want)
		}
	}
}
