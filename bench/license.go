package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

const (
	licenseSessions = 20_000

	// activations are how many there are in a slice: each has a link, a code
	// and a signature made for it beforehand, which take longer.
	activations = 1000

	licenseKey    = "0f8fad5b-d9cb-469f-a165-70867728950e"
	licenseShared = "kw4qSnpSwXzgiv5yxYpZZmFEd9QAeiKTQ6OuyMja"
)

// license measures the License API: a link beside its signature, and an
// activation through the gate beside the same body through a bare proxy.
func (r *run) license(ctx context.Context, rep *report) error {
	l, err := r.startLicense(ctx)
	if err != nil {
		return err
	}
	defer l.close()
	return besideSigner(ctx, func(signatures *rawSigner) error { return r.measureLicense(l, signatures, rep) })
}

func (r *run) measureLicense(l *licensed, signatures *rawSigner, rep *report) error {
	links := tokenRow{alg: "sso_url"}
	cmp := &comparison{title: "An activation beside the same body through a bare proxy", rows: []row{
		{name: "p", what: "bare `reverse_proxy`"},
		{name: "p2", what: "the same again: the control"},
		{name: "g", what: "with `license_activation`, an ID token (ES256)"},
		{name: "g2", what: "with `license_activation`, a code"},
	}}
	cmp.slices = make([][]slice, len(cmp.rows))
	if _, err := l.links(200); err != nil { // to warm up
		return err
	}
	rounds := max(r.rounds/2, 1)
	progress("%d rounds of links and %d rows", rounds, len(cmp.rows))
	for round := range rounds {
		s, err := links.measure(signatures, "RS256", func() (slice, error) { return l.links(activations) })
		if err != nil {
			return err
		}
		r.record("license", round, "sso_url", s)
		for _, i := range order(len(cmp.rows), round) {
			if s, err = l.activate(cmp.rows[i].name); err != nil {
				return err
			}
			cmp.slices[i] = append(cmp.slices[i], s)
			r.record("license", round, cmp.rows[i].name, s)
		}
	}
	cmp.notes = []string{fmt.Sprintf("%d activations a slice over %d connections, all with a body of the same size; %d sessions. "+
		"The codes are obtained before each slice, each by a link of its own; the ID tokens before the first. The audit log is on.",
		activations, directConnections, licenseSessions)}
	rep.links, rep.license = []tokenRow{links}, cmp
	return nil
}

// A licensed is a Caddy with the License API, and what loads it.
type licensed struct {
	*caddy
	portal, bare, bare2, gate *conns
	stopUpstream              func()

	cookies []string
	used    int // of all cookies, so that they take turns
	tokens  []string
}

func (l *licensed) close() {
	for _, c := range []*conns{l.portal, l.bare, l.bare2, l.gate} {
		if c != nil {
			c.close()
		}
	}
	l.caddy.close()
	l.stopUpstream()
}

func (r *run) startLicense(ctx context.Context) (*licensed, error) {
	ports, err := named("e", "p", "p2", "g", "upstream")
	if err != nil {
		return nil, err
	}
	p, err := r.startSeeded(ctx, "license", licenseSessions, ports)
	if err != nil {
		return nil, err
	}
	l := &licensed{caddy: p.caddy}
	if l.stopUpstream, err = startUpstream(ctx, ports["upstream"]); err != nil {
		p.close()
		return nil, err
	}
	for row, to := range map[string]**conns{"e": &l.portal, "p": &l.bare, "p2": &l.bare2, "g": &l.gate} {
		if *to, err = dial(p.host(row)); err != nil {
			l.close()
			return nil, err
		}
	}
	text, err := os.ReadFile(p.cookies)
	if err == nil {
		l.cookies = strings.Fields(string(text))
		l.tokens, err = l.credentials("token", "id_token", activations)
	}
	if err != nil {
		l.close()
		return nil, fmt.Errorf("%w; Caddy's log ends: %s", err, tail(p.log))
	}
	return l, nil
}

// links asks for n links, and measures that.
func (l *licensed) links(n int) (slice, error) {
	requests := make([][]byte, n)
	for i := range requests {
		requests[i] = l.linkRequest("code")
	}
	return l.costing(func() (slice, error) {
		return l.portal.fire(requests, func(resp *http.Response, _ []byte) bool {
			return resp.StatusCode == http.StatusOK && resp.Header.Get("LicenseSignature") != ""
		})
	})
}

// linkRequest is a signed request for a link.
func (l *licensed) linkRequest(responseType string) []byte {
	date := time.Now().UTC().Format(http.TimeFormat)
	mac := hmac.New(sha256.New, []byte(licenseShared))
	mac.Write([]byte("licenseSpring\ndate: " + date))
	return fmt.Appendf(nil, "GET /api/v4/sso_url?product=demo&customer_account_code=acme&response_type=%s HTTP/1.1\r\nHost: %s\r\nDate: %s\r\n"+
		"Authorization: algorithm=\"hmac-sha256\",headers=\"date\",signature=\"%s\",apikey=\"%s\"\r\n\r\n",
		responseType, l.portal.host, date, base64.StdEncoding.EncodeToString(mac.Sum(nil)), licenseKey)
}

// credentials signs n users in by a link each, and returns what the redirect
// has under name.
func (l *licensed) credentials(responseType, name string, n int) ([]string, error) {
	found := make([]string, n)
	first := l.used
	l.used += n
	err := l.portal.each(n, func(c *conn, i int) error {
		resp, body, err := c.do(l.linkRequest(responseType))
		if err != nil {
			return fmt.Errorf("asking for a link: %w", err)
		}
		var link struct {
			URL string `json:"url"`
		}
		if err := json.Unmarshal(body, &link); err != nil || link.URL == "" {
			return fmt.Errorf("asking for a link: %s, %s", resp.Status, body)
		}
		_, path, _ := strings.Cut(link.URL, l.portal.host)
		if resp, body, err = c.do(fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nCookie: %s\r\n\r\n",
			path, l.portal.host, l.cookies[(first+i)%len(l.cookies)])); err != nil {
			return fmt.Errorf("following a link: %w", err)
		}
		at, err := resp.Location()
		if err != nil {
			return fmt.Errorf("following a link: %s, %s", resp.Status, body)
		}
		answer, err := url.ParseQuery(at.RawQuery + at.Fragment)
		if found[i] = answer.Get(name); err != nil || found[i] == "" {
			return fmt.Errorf("following a link: no %s", name)
		}
		return nil
	})
	return found, err
}

// activate measures one slice of a row.
func (l *licensed) activate(row string) (slice, error) {
	to, name, credentials := l.gate, "id_token", l.tokens
	switch row {
	case "p":
		to = l.bare
	case "p2":
		to = l.bare2
	case "g2":
		codes, err := l.credentials("code", "code", activations)
		if err != nil {
			return slice{}, err
		}
		name, credentials = "code", codes
	}
	size := len(l.tokens[0]) + 300
	requests := make([][]byte, activations)
	for i := range requests {
		body := fmt.Sprintf(`{"hardware_id":"%032d","product":"demo","customer_account_code":"acme","%s":"%s","app_ver":"`, i, name, credentials[i])
		body += strings.Repeat("1", size-len(body)-2) + `"}`
		requests[i] = fmt.Appendf(nil, "POST /api/v4/activate_license HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", to.host, len(body), body)
	}
	return l.costing(func() (slice, error) {
		return to.fire(requests, func(resp *http.Response, _ []byte) bool { return resp.StatusCode == http.StatusOK })
	})
}
