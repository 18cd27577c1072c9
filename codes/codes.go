// Package codes issues and redeems OAuth 2.0 authorization codes.
//
// A code is 256 random bits, lives for a minute, and is redeemed once.
//
// # Promises
//
// They are kept however many requests run at the same time:
//
//   - A code is redeemed at most once. A second redemption is told apart from
//     an unknown code, so that the caller can end the grant (RFC 9700 §4.5).
//   - A live code is never forgotten to make room. When there is no room,
//     [Codes.Issue] says so with a [*FullError].
//   - A redemption whose bindings do not match spends nothing, so nobody can
//     destroy a code that was meant for another client.
//
// A spent code says when it was redeemed, so that the caller can tell a request
// that was sent twice from a replay.
//
// # Where codes are stored
//
// The codes themselves are stored nowhere: everything is stored under the SHA-256
// of a code.
//
// [NewMemory] keeps the records in this process. [NewStored] keeps them in a
// [storage.Store], so that any node that shares the store can redeem.
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

// SpentRetention is how long a spent code is remembered as spent. Later on it
// is an unknown one.
const SpentRetention = time.Hour

// codeBytes is the size of a code before its encoding.
const codeBytes = 32

// encoding is strict, so that one code has one spelling.
var encoding = base64.RawURLEncoding.Strict()

// A Record is what a code stands for.
type Record struct {
	Version int `json:"v" cbor:"0,keyasint"` // set by Issue

	Client      string    `json:"client" cbor:"1,keyasint"`
	RedirectURI string    `json:"redirect_uri" cbor:"2,keyasint"`
	Challenge   string    `json:"challenge,omitempty" cbor:"3,keyasint,omitempty"` // PKCE, method S256; empty without PKCE
	Session     [32]byte  `json:"session" cbor:"4,keyasint"`                       // key of the SSO session that the code came from
	Subject     string    `json:"subject" cbor:"5,keyasint"`
	Grant       string    `json:"grant" cbor:"6,keyasint"` // ID of the grant that redemption makes
	Scopes      []string  `json:"scopes,omitempty" cbor:"7,keyasint,omitempty"`
	Audience    []string  `json:"audience,omitempty" cbor:"8,keyasint,omitempty"`
	Nonce       string    `json:"nonce,omitempty" cbor:"9,keyasint,omitempty"`
	AuthTime    time.Time `json:"auth_time" cbor:"10,keyasint"`

	// OfflineAccess says that the scope offline was asked for by the name that
	// it has in OpenID Connect, offline_access.
	OfflineAccess bool `json:"offline_access,omitempty" cbor:"15,keyasint,omitempty"`

	// Product and Account are set on a code for the activation of licensed
	// software, which is good for nothing else.
	Product string `json:"product,omitempty" cbor:"11,keyasint,omitempty"`
	Account string `json:"account,omitempty" cbor:"12,keyasint,omitempty"`

	// Redemption is what the check of Redeem says of the request that redeems
	// the code; a [*SpentError] returns it.
	Redemption string `json:"-" cbor:"-"`

	// Issued and Expires are set by Issue.
	Issued  time.Time `json:"issued" cbor:"13,keyasint"`
	Expires time.Time `json:"expires" cbor:"14,keyasint"`
}

// clone returns a copy that shares nothing with r.
func (r *Record) clone() *Record {
	c := *r
	c.Scopes = slices.Clone(r.Scopes)
	c.Audience = slices.Clone(r.Audience)
	return &c
}

// Limits is the policy for one Issue. It is handed in with each call because
// codes outlive a configuration. A field that is not positive means its
// default.
type Limits struct {
	Lifetime   time.Duration // how long a code can be redeemed; default 60 s
	Capacity   int           // live codes in all; default 100,000
	PerSession int           // live codes of one session; default 64. One user has at most four sessions' worth.

	Format records.Format // of what is stored; default [records.JSON]
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
// no code at all.
var ErrUnknown = errors.New("codes: unknown code")

// A FullError says that there is no room for another live code.
type FullError struct {
	RetryAfter time.Duration // until a code expires; at least one second
	PerSession bool          // the session's or its user's own bound was reached, not the common one
}

func (e *FullError) Error() string {
	if e.PerSession {
		return "codes: the session, or its user, has too many live codes"
	}
	return "codes: too many live codes"
}

// A SpentError says that the code was redeemed before. Unless that is the very
// same request, which came twice, somebody else may have it, so the grant that
// it gave should end.
type SpentError struct {
	Version int `json:"v" cbor:"0,keyasint"`

	Grant     string `json:"grant" cbor:"1,keyasint"`
	Client    string `json:"client" cbor:"2,keyasint"`                        // the client that the code was issued to
	Challenge string `json:"challenge,omitempty" cbor:"3,keyasint,omitempty"` // see [Record]

	// At is when it was redeemed, in milliseconds since 1970; 0: by a version
	// that did not say.
	At int64 `json:"at,omitempty" cbor:"4,keyasint,omitempty"`

	Redemption string `json:"redemption,omitempty" cbor:"5,keyasint,omitempty"` // see [Record]
}

// spent is what is remembered of a code that is redeemed now.
func (r *Record) spent(now time.Time) SpentError {
	return SpentError{
		Version: records.Version,
		Grant:   r.Grant, Client: r.Client, At: now.UnixMilli(),
		// It outlives the record, and must not keep the query that it was read from.
		Challenge: strings.Clone(r.Challenge),
	}
}

func (e *SpentError) Error() string {
	return "codes: code was redeemed before"
}

// Options are what Codes needs from outside.
type Options struct {
	Now  func() time.Time // default time.Now
	Rand io.Reader        // default crypto/rand.Reader; must be safe for concurrent use
}

// Codes issues and redeems codes. It is safe for concurrent use, and meant to
// be kept when the configuration is reloaded.
type Codes struct {
	now   func() time.Time
	rand  io.Reader
	store storage.Store // nil: the ledger holds the records

	mu     sync.Mutex
	ledger *ledger   // guarded by mu
	spent  *spentSet // guarded by mu; unused with a store
}

// NewMemory returns Codes that live in this process.
func NewMemory(o Options) *Codes {
	return newCodes(nil, o)
}

// NewStored returns Codes whose records live in store, which stays the
// caller's to close. Limits are counted for the codes issued through this
// value, so each node has its own allowance; a code that another node redeems
// counts here until it expires.
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

// Issue makes a code that stands for rec within the limits. A [*FullError]
// says that they are reached; an error that wraps [storage.ErrUnavailable],
// that the store did not answer.
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

// Redeem spends a code and returns what it stands for.
//
// check compares what the code is bound to (client, redirect URI, PKCE
// challenge) with the request. Its error is returned as it is, and the code
// stays unspent. It may run in several calls for one code at the same time; of
// those that pass, one wins, and the others get a [*SpentError].
//
// With a store, an error other than [ErrUnknown] and [*SpentError] may leave
// the code either spent or not.
func (c *Codes) Redeem(ctx context.Context, code string, check func(*Record) error) (*Record, error) {
	id, ok := parse(code)
	if !ok {
		return nil, ErrUnknown
	}
	if c.store == nil {
		return c.redeemHere(id, check)
	}
	return c.redeemStored(ctx, id, check)
}

// Discard removes a code that nobody is to redeem, where check, as that of
// [Codes.Redeem], has no objection. It leaves no trace: the code gave nothing that could
// end, so later on it is an unknown one.
func (c *Codes) Discard(ctx context.Context, code string, check func(*Record) error) (*Record, error) {
	id, ok := parse(code)
	if !ok {
		return nil, ErrUnknown
	}
	if c.store == nil {
		return c.discardHere(id, check)
	}
	return c.discardStored(ctx, id, check)
}

// reserve enters a new code into the ledger, if there is room.
func (c *Codes) reserve(id codeID, e entry, l Limits) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ledger.add(id, e, l, c.now())
}

// release takes a code out of the ledger.
func (c *Codes) release(id codeID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ledger.remove(id)
}

// codeID is the SHA-256 of a code's bytes: what it is filed under.
type codeID [sha256.Size]byte

func identify(raw []byte) codeID {
	return sha256.Sum256(raw)
}

// parse returns the ID of a code, if it is spelled as one.
func parse(code string) (codeID, bool) {
	if len(code) != encoding.EncodedLen(codeBytes) {
		return codeID{}, false
	}
	raw, err := encoding.DecodeString(code)
	// The decoder passes over line breaks, so the length must be looked at too.
	if err != nil || len(raw) != codeBytes {
		return codeID{}, false
	}
	return identify(raw), true
}
