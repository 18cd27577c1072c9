package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/keys"
)

const (
	// LicenseLinkLifetime is how long a link of the License API is valid.
	LicenseLinkLifetime = 10 * time.Minute

	licenseLinkLabel = "license link"
)

// A LicenseLinkRequest is a request of licensed software for a link.
type LicenseLinkRequest struct {
	Product      string
	Account      string
	ResponseType string // "code", "token", or "" for the default
	RedirectURI  string // "": the product's first URI
}

// licenseLink is the sealed content of a link's handle. The other parameters must
// agree with it, so an edited link is not valid.
type licenseLink struct {
	ID          string `json:"i"`
	Product     string `json:"p"`
	Account     string `json:"a"`
	RedirectURI string `json:"r"`
	Token       bool   `json:"t,omitempty"`
	State       string `json:"s"`
	Nonce       string `json:"n,omitempty"`
	Expires     int64  `json:"e"`
}

// LicenseLink returns the query of the authorization request for a license user.
// Nothing is stored for it until it is used.
func (s *Server) LicenseLink(ctx context.Context, r LicenseLinkRequest) (url.Values, *Error) {
	p, a, refusal := s.Licenses.find(r.Product, r.Account)
	if refusal != nil {
		return nil, refusal
	}
	if p.Client.Disabled {
		return nil, clientDisabled()
	}
	responseType, allowed := s.Licenses.responseType(p, r.ResponseType)
	if !allowed {
		return nil, InvalidParam("response_type", "is not one that the product allows.")
	}
	_, redirectURI, registered := p.redirectURI(r.RedirectURI)
	if !registered {
		return nil, p.unregisteredURI(r.RedirectURI)
	}
	link := licenseLink{
		ID: newID(), Product: p.Code, Account: a.Code, RedirectURI: redirectURI,
		State: newID(), Expires: s.Now().Add(LicenseLinkLifetime).Unix(),
	}
	q := url.Values{
		"scope": {"openid"}, "response_type": {"code"}, "client_id": {p.Client.ID},
		"redirect_uri": {redirectURI}, "customer_account_code": {a.Code}, "state": {link.State},
	}
	if responseType == LicenseToken {
		link.Token, link.Nonce = true, newID()
		q.Set("response_type", "id_token token")
		q.Set("nonce", link.Nonce)
	}
	plain, err := json.Marshal(link)
	if err != nil {
		return nil, Unavailable(fmt.Errorf("encoding a link: %w", err))
	}
	handle, err := s.Keys.Seal(ctx, licenseLinkLabel, plain)
	if err != nil {
		return nil, Unavailable(err)
	}
	q.Set("handle", handle)
	return q, nil
}

// checkLink opens the handle of a link and compares the request with it.
func (s *Server) checkLink(ctx context.Context, r OpenIDRequest) (*Authorization, *Error) {
	tampered := Invalid("The link was changed on its way, or is not one of ours.")
	plain, err := s.Keys.Unseal(ctx, licenseLinkLabel, r.Handle)
	if err != nil && !errors.Is(err, keys.ErrSealed) {
		return nil, Unavailable(err)
	}
	var link licenseLink
	if err != nil || json.Unmarshal(plain, &link) != nil {
		return nil, tampered
	}
	responseType := "code"
	if link.Token {
		responseType = "id_token token"
	}
	p, a, refusal := s.Licenses.find(link.Product, link.Account)
	if refusal != nil {
		return nil, refusal // the configuration has changed since
	}
	redirect, _, registered := p.redirectURI(link.RedirectURI)
	switch {
	case r.ClientID != p.Client.ID, r.RedirectURI != link.RedirectURI, r.CustomerAccount != link.Account,
		r.State != link.State, r.Nonce != link.Nonce, r.ResponseType != responseType:
		return nil, tampered
	case !registered || (link.Token && !slices.Contains(p.ResponseTypes, LicenseToken)):
		return nil, Invalid("redirect_uri or response_type is not registered for this product any more.")
	case p.Client.Disabled:
		return nil, clientDisabled()
	case s.Now().Unix() > link.Expires:
		return nil, linkSpent()
	}
	// A used link is refused before anything else is done.
	_, used, err := s.Store.Get(ctx, linkKey(link.ID))
	switch {
	case err != nil:
		return nil, Unavailable(fmt.Errorf("looking up a link: %w", err))
	case used:
		return nil, linkSpent()
	}
	return &Authorization{
		Client: p.Client, Redirect: redirect, RedirectURI: link.RedirectURI, State: link.State, Nonce: link.Nonce,
		OpenID: true, Token: link.Token, Scopes: []string{"openid"},
		// Its tokens are for activation: no other audience accepts them.
		Audience: []string{p.Client.ID},
		Methods:  a.Methods, EmailDomains: a.EmailDomains,
		License: &LicenseRequest{ID: link.ID, Product: p, Account: a, Expires: time.Unix(link.Expires, 0)},
	}, nil
}

func linkSpent() *Error {
	return &Error{Kind: LinkSpent, Description: "The link was used already, or is older than ten minutes."}
}

func linkKey(id string) string { return "link:" + id }

// UseLink uses up a link. Call it last, just before the answer.
func (s *Server) UseLink(ctx context.Context, r *LicenseRequest) *Error {
	first, err := s.Store.CompareAndSwap(ctx, linkKey(r.ID), nil, []byte{1}, LicenseLinkLifetime+time.Minute)
	if err != nil {
		return Unavailable(fmt.Errorf("using a link: %w", err))
	}
	if !first {
		return linkSpent()
	}
	return nil
}
