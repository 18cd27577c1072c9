package signedhttp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
)

// maxAnswer bounds, in bytes, the part of an answer that is read.
const maxAnswer = 64 << 10

// A Client sends signed requests to one of the operator's own servers. It is safe for concurrent use.
type Client struct {
	url    string
	secret Secret
	now    func() time.Time
	client *http.Client
}

// NewClient returns a client that posts to a URL, and waits for an answer until the timeout.
func NewClient(rawURL, secret string, timeout time.Duration, now func() time.Time) (*Client, error) {
	if err := CheckURL(rawURL); err != nil {
		return nil, err
	}
	s, err := NewSecret(secret)
	if err != nil {
		return nil, err
	}
	return &Client{url: rawURL, secret: s, now: now, client: &http.Client{
		Timeout:       timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// CheckURL checks the URL of a server.
func CheckURL(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return errors.New("expected the URL of your backend, such as https://backend.example/sso")
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !oauth.IsLoopbackHost(u.Hostname())) {
		return fmt.Errorf("%s://%s: expected https, or http on loopback (localhost, 127.0.0.1, [::1])", u.Scheme, u.Host)
	}
	return nil
}

// Format prints [redacted].
func (*Client) Format(f fmt.State, _ rune) {
	io.WriteString(f, "[redacted]") //nolint:errcheck // fmt has nowhere to report it
}

// Post sends v as JSON, and returns the status and the first 64 KiB of the answer. It
// follows no redirect. Its errors never contain the URL, whose query may be a secret.
func (s *Client) Post(ctx context.Context, v any) (status int, answer []byte, err error) {
	body, err := json.Marshal(v)
	if err != nil {
		return 0, nil, fmt.Errorf("encoding a request: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(body))
	if err != nil {
		return 0, nil, errors.New("the URL is none")
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	r.Header.Set(Header, s.secret.Sign(body, s.now()))
	response, err := s.client.Do(r)
	if err != nil {
		return 0, nil, withoutURL(err)
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return 0, nil, withoutURL(err)
	}
	return response.StatusCode, answer, nil
}

func withoutURL(err error) error {
	if failed := (*url.Error)(nil); errors.As(err, &failed) {
		return failed.Err
	}
	return err
}
