package signedhttp_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/signedhttp"
)

const secret = "a secret of some length"

var now = time.Unix(1_700_000_000, 0)

func newSecret(t *testing.T, s string) signedhttp.Secret {
	t.Helper()
	made, err := signedhttp.NewSecret(s)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// What is documented is computed here once more, as another server would.
func TestTheSignatureIsTheOneThatIsDocumented(t *testing.T) {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(`1700000000.{"a":1}`))
	want := "t=1700000000,v1=" + hex.EncodeToString(mac.Sum(nil))
	s := newSecret(t, secret)
	if got := s.Sign([]byte(`{"a":1}`), now); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if err := s.Verify(want, []byte(`{"a":1}`), now, time.Minute); err != nil {
		t.Error(err)
	}
}

func TestASignatureThatIsNotRightIsRefused(t *testing.T) {
	s, body := newSecret(t, secret), []byte(`{"a":1}`)
	right := s.Sign(body, now)
	for name, c := range map[string]struct {
		signature string
		body      string
		at        time.Time
		want      error
	}{
		"right":                      {right, string(body), now, nil},
		"a minute ago":               {right, string(body), now.Add(time.Minute), nil},
		"in a minute":                {right, string(body), now.Add(-time.Minute), nil},
		"older than a minute":        {right, string(body), now.Add(61 * time.Second), signedhttp.ErrTime},
		"from beyond a minute":       {right, string(body), now.Add(-61 * time.Second), signedhttp.ErrTime},
		"of another body":            {right, `{"a":2}`, now, signedhttp.ErrSignature},
		"of no body":                 {right, "", now, signedhttp.ErrSignature},
		"by another secret":          {newSecret(t, secret+"x").Sign(body, now), string(body), now, signedhttp.ErrSignature},
		"none":                       {"", string(body), now, signedhttp.ErrSignature},
		"without a time":             {right[strings.Index(right, "v1="):], string(body), now, signedhttp.ErrSignature},
		"with another time":          {strings.Replace(right, "t=17", "t=18", 1), string(body), now.Add(1e8 * time.Second), signedhttp.ErrSignature},
		"in upper case":              {strings.ToUpper(right[:2]) + right[2:], string(body), now, signedhttp.ErrSignature},
		"hex in upper case":          {right[:16] + strings.ToUpper(right[16:]), string(body), now, signedhttp.ErrSignature},
		"with a plus":                {strings.Replace(right, "t=", "t=+", 1), string(body), now, signedhttp.ErrSignature},
		"with a nought":              {strings.Replace(right, "t=", "t=0", 1), string(body), now, signedhttp.ErrSignature},
		"cut off":                    {right[:len(right)-2], string(body), now, signedhttp.ErrSignature},
		"empty":                      {"t=1700000000,v1=", string(body), now, signedhttp.ErrSignature},
		"not in hexadecimal":         {"t=1700000000,v1=" + strings.Repeat("x", 64), string(body), now, signedhttp.ErrSignature},
		"with more behind":           {right + ",v1=00", string(body), now, signedhttp.ErrSignature},
		"of a time and a body moved": {strings.Replace(right, "t=1700000000", "t=170000000", 1), "0." + string(body), now, signedhttp.ErrSignature},
	} {
		if err := s.Verify(c.signature, []byte(c.body), c.at, time.Minute); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := (signedhttp.Secret{}).Verify(right, body, now, time.Minute); err == nil {
		t.Error("no secret verifies")
	}
	if _, err := signedhttp.NewSecret("fifteen letters"); err == nil {
		t.Error("a short secret was taken")
	}
	if got := fmt.Sprintf("%v %+v %#v %s %x", s, s, s, s, s); strings.Contains(got, "secret") || strings.Contains(got, "61") {
		t.Errorf("it prints as %s", got)
	}
}

func TestAnAnswerIsReadAsFarAsItIsBounded(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || newSecret(t, secret).Verify(r.Header.Get(signedhttp.Header), body, now, 0) != nil || string(body) != `{"a":1}` {
			t.Errorf("%v: %s", err, body)
		}
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, strings.Repeat("x", 1<<20)) //nolint:errcheck // nobody reads it all
	}))
	defer server.Close()
	s, err := signedhttp.NewClient(server.URL, secret, time.Minute, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	status, answer, err := s.Post(t.Context(), map[string]int{"a": 1})
	if err != nil || status != http.StatusForbidden || len(answer) != 64<<10 {
		t.Errorf("%d, %d bytes, %v", status, len(answer), err)
	}
}
