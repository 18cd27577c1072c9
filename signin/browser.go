package signin

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/caddy-sso/caddy-sso/keys"
)

// A browser is what one browser's cookie says, sealed: an ID that sign-in
// transactions are bound to, and the accounts that signed in here before. The
// latter keep a stranger's failures from locking their owner out.
type browser struct {
	ID    string   `json:"i"`
	Known []string `json:"k,omitempty"`
}

const (
	browserPurpose  = "browser"
	browserLifetime = 400 * 24 * time.Hour // the most that browsers keep a cookie
	maxKnown        = 16                   // with two for each user of a backend: see spelling
)

// browser reads the cookie of a request. False means that there is none, or
// none of ours.
func (h *Hosted) browser(r *http.Request) (browser, bool, error) {
	var b browser
	value, ok := h.Browser.Value(r)
	if !ok {
		return b, false, nil
	}
	plain, err := h.Keys.Unseal(r.Context(), browserPurpose, value)
	if errors.Is(err, keys.ErrSealed) {
		return b, false, nil
	}
	if err != nil {
		return b, false, fmt.Errorf("reading the browser cookie: %w", err)
	}
	if err := json.Unmarshal(plain, &b); err != nil || b.ID == "" {
		return browser{}, false, nil //nolint:nilerr // a cookie of another version is none
	}
	return b, true, nil
}

func newBrowser() browser {
	var id [16]byte
	rand.Read(id[:]) //nolint:errcheck // never fails: crypto/rand aborts the program instead
	return browser{ID: base64.RawURLEncoding.EncodeToString(id[:])}
}

// knows says whether an account signed in here before.
func (b browser) knows(account string) bool { return slices.Contains(b.Known, account) }

// remember adds an account, the latest first.
func (b browser) remember(account string) browser {
	known := append([]string{account}, slices.DeleteFunc(slices.Clone(b.Known), func(s string) bool { return s == account })...)
	b.Known = known[:min(len(known), maxKnown)]
	return b
}

func (h *Hosted) setBrowser(ctx context.Context, w http.ResponseWriter, b browser) error {
	plain, err := json.Marshal(b)
	if err != nil {
		return fmt.Errorf("writing the browser cookie: %w", err)
	}
	sealed, err := h.Keys.Seal(ctx, browserPurpose, plain)
	if err != nil {
		return fmt.Errorf("writing the browser cookie: %w", err)
	}
	h.Browser.Set(w, sealed, browserLifetime)
	return nil
}
