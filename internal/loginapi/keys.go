package loginapi

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"math/big"
	"net/http"

	"github.com/go-jose/go-jose/v4"

	"github.com/caddy-sso/caddy-sso/internal/httpapi"
	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// A projectKey is a public key in the form of this API: RSA numbers are hexadecimal,
// not base64url as in a JWK. Its clients do not know elliptic curves, so those keys
// have the members of RFC 7517 and RFC 8037.
type projectKey struct {
	Algorithm string `json:"alg"`
	Exponent  string `json:"e,omitempty"`
	ID        string `json:"kid"`
	Type      string `json:"kty"`
	Modulus   string `json:"n,omitempty"`
	Use       string `json:"use"`
	Curve     string `json:"crv,omitempty"`
	X         string `json:"x,omitempty"`
	Y         string `json:"y,omitempty"`
}

// projectKeys answers GET /api/projects/{id}/keys with an array. The active key is
// the first, since one client uses the first key without checking its ID.
func (a *API) projectKeys(w http.ResponseWriter, r *http.Request, id string) {
	methods := []string{http.MethodGet, http.MethodHead}
	if httpapi.PublicPreflight(w, r, methods...) || !a.allowed(w, r, methods...) {
		return
	}
	client, ok := a.Server.Clients.ByProject(id)
	if !ok {
		a.refuse(w, r, &oauth.Error{Kind: oauth.UnknownProject, Description: "Project not found."})
		return
	}
	var public []jose.JSONWebKey // empty for a symmetric key (HS256)
	var err error
	if client.HS256Key == nil {
		public, err = a.Server.Keys.Public(r.Context(), client.TokenAlg)
	}
	if err != nil {
		a.refuse(w, r, oauth.Unavailable(err))
		return
	}
	list := make([]projectKey, 0, len(public))
	for _, k := range public {
		list = append(list, newProjectKey(k))
	}
	httpapi.WritePublic(w, "application/json", list)
}

func newProjectKey(k jose.JSONWebKey) projectKey {
	p := projectKey{Algorithm: k.Algorithm, ID: k.KeyID, Use: "sig"}
	b64 := base64.RawURLEncoding.EncodeToString
	switch key := k.Key.(type) {
	case *rsa.PublicKey:
		p.Type = "RSA"
		p.Modulus = key.N.Text(16)
		p.Exponent = big.NewInt(int64(key.E)).Text(16)
	case *ecdsa.PublicKey:
		p.Type, p.Curve = "EC", key.Params().Name
		if point, err := key.Bytes(); err == nil { // 0x04, X, Y
			half := len(point) / 2
			p.X, p.Y = b64(point[1:1+half]), b64(point[1+half:])
		}
	case ed25519.PublicKey:
		p.Type, p.Curve, p.X = "OKP", "Ed25519", b64(key)
	}
	return p
}
