package session

import (
	"encoding/json"
	"errors"
	"fmt"
)

// version is that of both kinds of records. A record of another version counts
// as none.
const version = 1

// record is a stored session.
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

	Begun   int64  `json:"begun"` // milliseconds since 1970, as are all below
	Expires int64  `json:"expires"`
	Seen    int64  `json:"seen"`
	Idle    int64  `json:"idle,omitempty"` // the idle time of the policy under which it was written
	Agent   string `json:"agent,omitempty"`
	From    string `json:"from,omitempty"`

	Upstream Upstream `json:"upstream,omitzero"`
}

func (r record) encode() ([]byte, error) {
	value, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encoding a session: %w", err)
	}
	return value, nil
}

func decodeRecord(value []byte) (record, error) {
	var r record
	if err := json.Unmarshal(value, &r); err != nil {
		// The decoder's own error may quote what it read.
		return record{}, errors.New("decoding a session: not the expected JSON")
	}
	if r.Version != version {
		return record{}, fmt.Errorf("decoding a session: version %d, not %d", r.Version, version)
	}
	if r.Subject == "" || r.Begun <= 0 || r.Expires <= r.Begun || r.Seen < r.Begun {
		return record{}, errors.New("decoding a session: incomplete")
	}
	return r, nil
}

// siteRecord is a stored site session.
type siteRecord struct {
	Version     int    `json:"v"`
	Session     string `json:"session"` // the SSO session's key, in hex
	Client      string `json:"client"`
	Transaction string `json:"transaction,omitempty"`
}

// site is a decoded site session.
type site struct {
	key         Key
	sso         Key
	client      string
	transaction string
}

func decodeSite(k Key, value []byte) (*site, error) {
	var r siteRecord
	if err := json.Unmarshal(value, &r); err != nil {
		return nil, errors.New("decoding a site session: not the expected JSON")
	}
	if r.Version != version {
		return nil, fmt.Errorf("decoding a site session: version %d, not %d", r.Version, version)
	}
	sso, ok := parseKey(r.Session)
	if !ok || r.Client == "" {
		return nil, errors.New("decoding a site session: incomplete")
	}
	return &site{key: k, sso: sso, client: r.Client, transaction: r.Transaction}, nil
}
