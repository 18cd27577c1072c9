package portal

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/keys"
	"github.com/caddy-sso/caddy-sso/internal/signin/subjects"
)

// A knownDevice is the sealed content of one browser's cookie. It has an ID that
// sign-in transactions are bound to, and the accounts whose password was typed in
// this browser before, the latest first. Because of these, failures of other clients
// do not lock the owner out. Cookies of older releases have accounts in "k", without
// a mark of the password; those are ignored.
type knownDevice struct {
	ID    string         `json:"i"`
	Known []knownAccount `json:"a,omitempty"`
}

// A knownAccount is an account whose password a browser knows, as [limits.KnownAs] or
// [knownBy] returns it, until a time in Unix seconds.
type knownAccount struct {
	As    string `json:"a"`
	Until int64  `json:"u"`
}

const (
	deviceLabel     = "browser"
	browserLifetime = 400 * 24 * time.Hour // the most that browsers keep a cookie
	maxKnown        = 16                   // with two for each user of a backend

	// unmarkedLifetime is how long the cookie knows an account if its method does not
	// report changed passwords.
	unmarkedLifetime = 30 * 24 * time.Hour
)

// deviceOf reads the cookie of a request. False means that there is none, or
// none of ours.
func (h *Hosted) deviceOf(r *http.Request) (knownDevice, bool, error) {
	var b knownDevice
	value, ok := h.Browser.Value(r)
	if !ok {
		return b, false, nil
	}
	plain, err := h.Keys.Unseal(r.Context(), deviceLabel, value)
	if errors.Is(err, keys.ErrSealed) {
		return b, false, nil
	}
	if err != nil {
		return b, false, fmt.Errorf("reading the browser cookie: %w", err)
	}
	if err := json.Unmarshal(plain, &b); err != nil || b.ID == "" {
		return knownDevice{}, false, nil //nolint:nilerr // a cookie of another version is none
	}
	return b, true, nil
}

func newDevice() knownDevice {
	var id [16]byte
	rand.Read(id[:]) //nolint:errcheck // never fails: crypto/rand aborts the program instead
	return knownDevice{ID: base64.RawURLEncoding.EncodeToString(id[:])}
}

// knownBy is what a browser remembers of a typed name whose password a backend
// accepted. Other spellings that are counted with it may belong to other accounts.
func knownBy(spellings []string, name string) string {
	return subjects.Derive("spelling", spellings[len(spellings)-1]+"\x00"+strings.TrimSpace(name))
}

func (b knownDevice) knows(as string, now time.Time) bool {
	return slices.ContainsFunc(b.Known, func(k knownAccount) bool { return k.As == as && now.Unix() < k.Until })
}

func (b knownDevice) remember(as string, until time.Time) knownDevice {
	others := slices.DeleteFunc(slices.Clone(b.Known), func(k knownAccount) bool { return k.As == as })
	known := append([]knownAccount{{as, until.Unix()}}, others...)
	b.Known = known[:min(len(known), maxKnown)]
	return b
}

func (h *Hosted) setDevice(ctx context.Context, w http.ResponseWriter, b knownDevice) error {
	plain, err := json.Marshal(b)
	if err != nil {
		return fmt.Errorf("writing the browser cookie: %w", err)
	}
	sealed, err := h.Keys.Seal(ctx, deviceLabel, plain)
	if err != nil {
		return fmt.Errorf("writing the browser cookie: %w", err)
	}
	h.Browser.Set(w, sealed, browserLifetime)
	return nil
}
