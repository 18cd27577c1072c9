// Package codes issues and redeems OAuth 2.0 authorization codes.
//
// # What it guarantees
//
// A code has 256 random bits, is valid for a minute, and is redeemed once. However many
// requests run at the same time:
//
//   - A code is redeemed at most once. A second redemption is a [*SpentError], so that the
//     caller can end the grant (RFC 9700 section 4.5). It has the time of the first
//     redemption, so that a request that was sent twice can be told from a replay.
//   - A live code is never evicted. Without room, [Codes.Issue] returns a [*FullError].
//   - A redemption whose bindings do not match does not spend the code, so no client can
//     destroy the code of another client.
//
// # Storage
//
// [NewMemory] keeps the records in this process. [NewStored] keeps them in a
// [storage.Store], so that every node with the store can redeem a code. Codes themselves
// are stored nowhere: keys are their SHA-256.
package codes

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/records"
	"github.com/caddy-sso/caddy-sso/storage"
)

// SpentRetention is how long a spent code is remembered. After that it is an unknown
// code.
const SpentRetention = time.Hour

// codeBytes is the size of a code before its encoding.
const codeBytes = 32

// encoding is strict, so that each code has only one spelling.
var encoding = base64.RawURLEncoding.Strict()

// A Record is the content of a code.
type Record struct {
	Version int `json:"v" cbor:"0,keyasint"` // set by Issue

	Client      string    `json:"client" cbor:"1,keyasint"`
	RedirectURI string    `json:"redirect_uri" cbor:"2,keyasint"`
	Challenge   string    `json:"challenge,omitempty" cbor:"3,keyasint,omitempty"` // PKCE, method S256; empty without PKCE
	Session     [32]byte  `json:"session" cbor:"4,keyasint"`                       // key of the SSO session in which the code was issued
	Subject     string    `json:"subject" cbor:"5,keyasint"`
	Grant       string    `json:"grant" cbor:"6,keyasint"` // ID of the grant that the redemption creates
	Scopes      []string  `json:"scopes,omitempty" cbor:"7,keyasint,omitempty"`
	Audience    []string  `json:"audience,omitempty" cbor:"8,keyasint,omitempty"`
	Nonce       string    `json:"nonce,omitempty" cbor:"9,keyasint,omitempty"`
	AuthTime    time.Time `json:"auth_time" cbor:"10,keyasint"`

	// OfflineAccess means that the scope offline was requested as offline_access, its
	// name in OpenID Connect.
	OfflineAccess bool `json:"offline_access,omitempty" cbor:"15,keyasint,omitempty"`

	// Product and Account are set for a code that is only valid for a license
	// activation.
	Product string `json:"product,omitempty" cbor:"11,keyasint,omitempty"`
	Account string `json:"account,omitempty" cbor:"12,keyasint,omitempty"`

	// Redemption identifies the request that redeems the code. The check of Redeem
	// sets it, and a [*SpentError] returns it.
	Redemption string `json:"-" cbor:"-"`

	// Issued and Expires are set by Issue.
	Issued  time.Time `json:"issued" cbor:"13,keyasint"`
	Expires time.Time `json:"expires" cbor:"14,keyasint"`
}

// clone returns a deep copy.
func (r *Record) clone() *Record {
	c := *r
	c.Scopes = slices.Clone(r.Scopes)
	c.Audience = slices.Clone(r.Audience)
	return &c
}

// Limits is the policy for one call of Issue, since Codes survive a reload of the
// configuration. A field that is not positive means its default.
type Limits struct {
	Lifetime   time.Duration // lifetime of the code; default 60 s
	Capacity   int           // maximum number of valid codes; default 100,000
	PerSession int           // maximum number of valid codes of one session; default 64. A user may have four times as many.

	Format records.Format // encoding of stored records; default [records.JSON]
}

// The defaults of [Limits].
const (
	DefaultLifetime   = time.Minute
	DefaultCapacity   = 100_000
	DefaultPerSession = 64
)

func (l Limits) withDefaults() Limits {
	if l.Lifetime <= 0 {
		l.Lifetime = DefaultLifetime
	}
	if l.Capacity <= 0 {
		l.Capacity = DefaultCapacity
	}
	if l.PerSession <= 0 {
		l.PerSession = DefaultPerSession
	}
	if l.Format == 0 {
		l.Format = records.JSON
	}
	return l
}

// ErrUnknown is returned for a code that was never issued, has expired, or is
// malformed.
var ErrUnknown = errors.New("codes: unknown code")

// A FullError means that there is no room for another live code.
type FullError struct {
	RetryAfter time.Duration // until a code expires; at least one second
	PerSession bool          // the limit of the session or its user was reached, not the capacity
}

func (e *FullError) Error() string {
	if e.PerSession {
		return "codes: the session or its user has too many unused codes; wait until one expires"
	}
	return "codes: too many unused codes; wait until one expires"
}

// A SpentError means that the code was redeemed before. Unless the very same request
// came twice, another party may have the code, so the grant of the first redemption
// should end.
type SpentError struct {
	Version int `json:"v" cbor:"0,keyasint"`

	Grant     string `json:"grant" cbor:"1,keyasint"`
	Client    string `json:"client" cbor:"2,keyasint"`                        // the client that the code was issued to
	Challenge string `json:"challenge,omitempty" cbor:"3,keyasint,omitempty"` // see [Record]

	// At is the time of the redemption in milliseconds since 1970. It is 0 if an old
	// release redeemed the code.
	At int64 `json:"at,omitempty" cbor:"4,keyasint,omitempty"`

	Redemption string `json:"redemption,omitempty" cbor:"5,keyasint,omitempty"` // see [Record]
}

// spent is the marker of a code that is redeemed now.
func (r *Record) spent(now time.Time) SpentError {
	return SpentError{
		Version: records.Version,
		Grant:   r.Grant, Client: r.Client, At: now.UnixMilli(),
		// It outlives the record, and must not keep the query string in memory.
		Challenge: strings.Clone(r.Challenge),
	}
}

func (e *SpentError) Error() string {
	return "codes: code was redeemed before"
}

// Options are the options of Codes. The zero value is ready to use.
type Options struct {
	Now  func() time.Time // default time.Now
	Rand io.Reader        // default crypto/rand.Reader; must be safe for concurrent use
}

// Codes issues and redeems codes. It is safe for concurrent use. Keep it when the
// configuration is reloaded.
type Codes struct {
	now   func() time.Time
	rand  io.Reader
	store storage.Store // nil: the ledger holds the records

	mu     sync.Mutex
	ledger *ledger   // guarded by mu
	spent  *spentSet // guarded by mu; unused with a store
}

// NewMemory returns Codes that keep their records in this process.
func NewMemory(o Options) *Codes {
	return newCodes(nil, o)
}

// NewStored returns Codes that keep their records in store. The caller closes the
// store. Limits count the codes that this value issued, so each node has its own
// limits; a code that another node redeems counts here until it expires.
func NewStored(store storage.Store, o Options) *Codes {
	return newCodes(store, o)
}

func newCodes(store storage.Store, o Options) *Codes {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	return &Codes{now: o.Now, rand: o.Rand, store: store, ledger: newLedger(), spent: newSpentSet()}
}

// Issue issues a code for rec within the limits. The error is a [*FullError] if a
// limit is reached, and wraps [storage.ErrUnavailable] if the store did not answer.
func (c *Codes) Issue(ctx context.Context, rec Record, l Limits) (code string, err error) {
	l = l.withDefaults()
	var raw [codeBytes]byte
	if _, err := io.ReadFull(c.rand, raw[:]); err != nil {
		return "", fmt.Errorf("issuing code: reading random bytes: %w", err)
	}
	id := identify(raw[:])

	issued := rec.clone()
	issued.Version = records.Version
	issued.Issued = c.now()
	issued.Expires = issued.Issued.Add(l.Lifetime)
	if c.store == nil {
		err = c.reserve(id, entry{session: rec.Session, subject: rec.Subject, expires: issued.Expires, record: issued}, l)
	} else {
		err = c.issueStored(ctx, id, issued, l)
	}
	if err != nil {
		return "", fmt.Errorf("issuing code: %w", err)
	}
	return encoding.EncodeToString(raw[:]), nil
}

// Redeem spends a code and returns its record.
//
// check must compare the record (client, redirect URI, PKCE challenge) with the
// request. If it returns an error, Redeem returns the same error, and the code stays
// valid. Concurrent calls for one code may all call check. Of those whose check
// succeeds, one redeems the code, and the others get a [*SpentError].
//
// With a store, after an error other than [ErrUnknown] and [*SpentError] the code may
// be spent or not.
func (c *Codes) Redeem(ctx context.Context, code string, check func(*Record) error) (*Record, error) {
	id, ok := parse(code)
	if !ok {
		return nil, ErrUnknown
	}
	if c.store == nil {
		return c.redeemMemory(id, check)
	}
	return c.redeemStored(ctx, id, check)
}

// Discard removes a code that must not be redeemed, if check (see [Codes.Redeem]) has
// no objection. It leaves no marker: the code gave no grant, so later it is an
// unknown code.
func (c *Codes) Discard(ctx context.Context, code string, check func(*Record) error) (*Record, error) {
	id, ok := parse(code)
	if !ok {
		return nil, ErrUnknown
	}
	if c.store == nil {
		return c.discardMemory(id, check)
	}
	return c.discardStored(ctx, id, check)
}

// reserve adds a new code to the ledger if there is room.
func (c *Codes) reserve(id codeID, e entry, l Limits) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ledger.add(id, e, l, c.now())
}

// release removes a code from the ledger.
func (c *Codes) release(id codeID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ledger.remove(id)
}

// codeID is the SHA-256 of a code's bytes. Records are stored under it.
type codeID [sha256.Size]byte

func identify(raw []byte) codeID {
	return sha256.Sum256(raw)
}

// parse returns the ID of a code, if it is well-formed.
func parse(code string) (codeID, bool) {
	if len(code) != encoding.EncodedLen(codeBytes) {
		return codeID{}, false
	}
	raw, err := encoding.DecodeString(code)
	// The decoder ignores line breaks, so the length must be checked, too.
	if err != nil || len(raw) != codeBytes {
		return codeID{}, false
	}
	return identify(raw), true
}
