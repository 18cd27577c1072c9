// Package licenseclient is licensed software as a vendor writes it from the
// License API's documentation: it asks for a URL, has someone sign in there,
// listens on a loopback port for what comes back, and activates its license
// with that. In the folder node is another one, which differs wherever two
// clients may.
package licenseclient

import (
	"bytes"
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// A Client is one installation of licensed software.
type Client struct {
	API     string // base URL of the License API
	Backend string // base URL that activations are sent to

	APIKey, SharedKey string

	Product, Account, Hardware string

	HTTP *http.Client

	// Now dates requests; nil: the time.
	Now func() time.Time

	public *rsa.PublicKey
}

// An Error is one of the API's.
type Error struct {
	Status  int    `json:"status"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

func (e *Error) Error() string { return fmt.Sprintf("%d %s: %s", e.Status, e.Code, e.Message) }

// Trust fetches the key that answers are signed with. Real software has it
// built in.
func (c *Client) Trust(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.API+"/sso/license_signature.pem", nil)
	if err != nil {
		return err
	}
	resp, err := c.HTTP.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return fmt.Errorf("answered %s, no public key: %s", resp.Status, text)
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return err
	}
	public, ok := parsed.(*rsa.PublicKey)
	if !ok {
		return fmt.Errorf("the key is a %T", parsed)
	}
	c.public = public
	return nil
}

// Sign dates and signs a request.
func (c *Client) Sign(h http.Header) {
	now := time.Now
	if c.Now != nil {
		now = c.Now
	}
	date := now().UTC().Format(http.TimeFormat)
	mac := hmac.New(sha256.New, []byte(c.SharedKey))
	mac.Write([]byte("licenseSpring\ndate: " + date))
	signature := base64.StdEncoding.EncodeToString(mac.Sum(nil))
	h.Set("Date", date)
	h.Set("Authorization", `algorithm="hmac-sha256", headers="date", signature="`+signature+`", apikey="`+c.APIKey+`"`)
}

// SSOURL asks where the license user signs in. responseType and redirectURI may
// be empty.
func (c *Client) SSOURL(ctx context.Context, responseType, redirectURI string) (string, error) {
	query := url.Values{"product": {c.Product}, "customer_account_code": {c.Account}}
	for name, value := range map[string]string{"response_type": responseType, "redirect_uri": redirectURI} {
		if value != "" {
			query.Set(name, value)
		}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.API+"/api/v4/sso_url?"+query.Encode(), nil)
	if err != nil {
		return "", err
	}
	r.Header.Set("Accept", "application/json")
	c.Sign(r.Header)
	resp, err := c.HTTP.Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", ReadError(resp.StatusCode, body)
	}
	if err := c.verify(resp.Header, body); err != nil {
		return "", err
	}
	var answer struct {
		URL string `json:"url"`
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&answer); err != nil {
		return "", fmt.Errorf("the answer %s: %w", body, err)
	}
	return answer.URL, nil
}

// verify holds the raw bytes of an answer against its signature.
func (c *Client) verify(h http.Header, body []byte) error {
	if c.public == nil {
		return errors.New("no key is trusted")
	}
	signature, err := base64.StdEncoding.DecodeString(h.Get("LicenseSignature"))
	if err != nil {
		return fmt.Errorf("LicenseSignature: %w", err)
	}
	sum := sha256.Sum256(body)
	if err := rsa.VerifyPKCS1v15(c.public, crypto.SHA256, sum[:], signature); err != nil {
		return fmt.Errorf("LicenseSignature of %s: %w", body, err)
	}
	return nil
}

// Activation is the body of an activation with a code, or with a token.
func (c *Client) Activation(code, token string) []byte {
	body, err := json.MarshalIndent(struct { // not what any server would write
		Hardware  string         `json:"hardware_id"`
		Product   string         `json:"product"`
		Account   string         `json:"customer_account_code"`
		Code      string         `json:"code,omitempty"`
		IDToken   string         `json:"id_token,omitempty"`
		Version   string         `json:"app_ver"`
		Variables map[string]any `json:"variables"`
	}{c.Hardware, c.Product, c.Account, code, token, "1.0 <β>", map[string]any{"seat": 7, "name": "Zoë & co"}}, "", "\t")
	if err != nil {
		panic(err) // of strings
	}
	return append(body, '\n')
}

// Activate sends the body of an activation, and returns the backend's answer.
func (c *Client) Activate(ctx context.Context, body []byte) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.Backend+"/api/v4/activate_license", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	c.Sign(r.Header)
	resp, err := c.HTTP.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, ReadError(resp.StatusCode, answer)
	}
	return answer, nil
}

// ReadError reads an error of the API, which has three members and no other.
func ReadError(status int, body []byte) error {
	e := new(Error)
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(e); err != nil || e.Status != status || e.Code == "" || e.Message == "" {
		return fmt.Errorf("answered %d, not an error of the API: %s", status, body)
	}
	return e
}
