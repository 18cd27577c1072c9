package session

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/caddy-sso/caddy-sso/internal/records"
)

// record is a stored session. In format 2 it is stored as a packed.
type record struct {
	Version int      `json:"v"`
	Subject string   `json:"sub"`
	Name    string   `json:"name,omitempty"`
	Email   string   `json:"email,omitempty"`
	Groups  []string `json:"groups,omitempty"`
	Avatar  string   `json:"avatar,omitempty"`
	Signin  string   `json:"signin,omitempty"`

	ProviderID string `json:"provider_id,omitempty"`
	Linked     string `json:"linked,omitempty"`
	Mark       string `json:"mark,omitempty"`
	Registered int64  `json:"registered,omitempty"` // Unix seconds
	Claims     string `json:"claims,omitempty"`     // packed
	AuthTime   int64  `json:"auth_time,omitempty"`  // milliseconds since 1970; 0: Begun

	Begun   int64  `json:"begun"` // milliseconds since 1970, as are all below
	Expires int64  `json:"expires"`
	Seen    int64  `json:"seen"`
	Idle    int64  `json:"idle,omitempty"`  // the idle time of the policy under which it was written
	Agent   string `json:"agent,omitempty"` // read from format 2, it is shortened: see agentParts
	From    string `json:"from,omitempty"`

	Upstream ProviderSession `json:"upstream,omitzero"`

	// Sites are the site sessions. In format 1 they have a list of their own.
	Sites sites `json:"-"`

	format records.Format
	stored []byte // the bytes that it was decoded from
}

// authAge returns how many seconds before the session began the user was authenticated.
func (r *record) authAge() uint32 {
	if r.AuthTime <= 0 || r.AuthTime >= r.Begun {
		return 0
	}
	return uint32(min((r.Begun-r.AuthTime+999)/1000, math.MaxUint32))
}

func (r *record) encode() ([]byte, error) {
	var fields any = r
	if r.format == records.CBOR {
		fields = r.pack()
	}
	value, err := records.Encode(r.format, fields, r.stored)
	if err != nil {
		return nil, fmt.Errorf("encoding a session: %w", err)
	}
	return value, nil
}

func decodeRecord(value []byte) (record, error) {
	var r record
	var err error
	if records.FormatOf(value) == records.CBOR {
		p := packed{Version: records.Version}
		if err = records.Decode(value, &p, &p.Version); err == nil {
			r = p.unpack()
		}
	} else {
		err = records.Decode(value, &r, &r.Version)
	}
	if err != nil {
		return record{}, fmt.Errorf("decoding a session: %w", err)
	}
	r.format, r.stored = records.FormatOf(value), value
	if r.Subject == "" || r.Begun <= 0 || r.Expires <= r.Begun || r.Seen < r.Begun {
		return record{}, errors.New("decoding a session: incomplete")
	}
	return r, nil
}

// changes bounds the attempts of [Sessions.change]. An attempt fails only if another
// change of the same session succeeded.
const changes = 100

// change changes a stored session by compare-and-swap. It returns false if the
// session has ended, or fn returns false.
func (s *Sessions) change(ctx context.Context, k *Key, fn func(*record) bool) (bool, error) {
	key := k.in(sessionPrefix)
	for range changes {
		value, ok, err := s.cache.store.Get(ctx, key)
		if err != nil {
			return false, unavailable("changing a session", err)
		}
		if !ok {
			return false, nil
		}
		r, err := decodeRecord(value)
		if err != nil {
			return false, err
		}
		lifetime := s.terms.stored(r, s.cache.now())
		if lifetime <= 0 || !fn(&r) {
			return false, nil
		}
		changed, err := r.encode()
		if err != nil {
			return false, err
		}
		swapped, err := s.cache.store.CompareAndSwap(ctx, key, value, changed, lifetime)
		if err != nil {
			return false, unavailable("changing a session", err)
		}
		if swapped {
			return true, nil
		}
	}
	return false, fmt.Errorf("changing session %s: others change it all the time", k.ID())
}

// siteRecord is a stored site session.
type siteRecord struct {
	Version     int    `json:"v"`
	Session     string `json:"session"` // the SSO session's key, in hex
	Client      string `json:"client"`
	Transaction string `json:"transaction,omitempty"`
}

// packedSite is a site session in format 2.
type packedSite struct {
	Version     int    `cbor:"0,keyasint,omitempty"` // 0: the first
	Session     []byte `cbor:"1,keyasint"`
	Client      string `cbor:"2,keyasint"`
	Transaction any    `cbor:"3,keyasint,omitempty"` // bytes: of base64url
}

// site is a decoded site session.
type site struct {
	key         Key
	sso         Key
	client      string
	transaction string
}

func encodeSite(sso *Key, client, transaction string) ([]byte, error) {
	format, fields := records.JSON, any(siteRecord{records.Version, sso.Whole(), client, transaction})
	if sso.short() {
		format, fields = records.CBOR, packedSite{0, sso.bytes(), client, packBase64(transaction)}
	}
	value, err := records.Encode(format, fields, nil)
	if err != nil {
		return nil, fmt.Errorf("encoding a site session: %w", err)
	}
	return value, nil
}

func decodeSite(k Key, value []byte) (*site, error) {
	s := &site{key: k}
	var ok bool
	var err error
	if records.FormatOf(value) == records.CBOR {
		p := packedSite{Version: records.Version}
		err = records.Decode(value, &p, &p.Version)
		s.sso, ok = keyOf(p.Session)
		s.client, s.transaction = p.Client, unpack(p.Transaction, strict.EncodeToString)
	} else {
		var r siteRecord
		err = records.Decode(value, &r, &r.Version)
		s.sso, ok = parseKey(r.Session)
		s.client, s.transaction = r.Client, r.Transaction
	}
	if err == nil && (!ok || s.client == "") {
		err = errors.New("incomplete")
	}
	if err != nil {
		return nil, fmt.Errorf("decoding a site session: %w", err)
	}
	return s, nil
}
