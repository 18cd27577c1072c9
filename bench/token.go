package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
)

// tokenSessions are enough, at the default of per_session, for the codes of many
// slices.
const tokenSessions = 20_000

// A tokenRow is what answers with a signature by one algorithm cost.
type tokenRow struct {
	alg    string
	slices []slice
	before []float64 // µs of a raw signature, just before each slice
	after  []float64 // and just after
}

// raw is what a signature took around one slice.
func (t tokenRow) raw(round int) float64 { return (t.before[round] + t.after[round]) / 2 }

// measure adds a slice, between two raw signatures.
func (t *tokenRow) measure(signatures *rawSigner, alg string, take func() (slice, error)) (slice, error) {
	before, err := signatures.measure(alg)
	if err != nil {
		return slice{}, err
	}
	s, err := take()
	if err != nil {
		return slice{}, err
	}
	after, err := signatures.measure(alg)
	if err != nil {
		return slice{}, err
	}
	t.before = append(t.before, before.Seconds()*1e6)
	t.slices = append(t.slices, s)
	t.after = append(t.after, after.Seconds()*1e6)
	return s, nil
}

// token redeems codes in timed slices, between raw signatures by the same kind
// of key on the same core.
func (r *run) token(ctx context.Context, rep *report) error {
	p, err := r.startPortal(ctx, "token", tokenSessions)
	if err != nil {
		return err
	}
	defer p.close()
	text, err := os.ReadFile(p.cookies)
	if err != nil {
		return fmt.Errorf("reading the cookies: %w", err)
	}
	portal, err := dial(p.host("e"))
	if err != nil {
		return err
	}
	defer portal.close()
	load := &tokenLoad{conns: portal, cookies: strings.Fields(string(text))}
	return besideSigner(ctx, func(signatures *rawSigner) error { return r.measureTokens(p, load, signatures, rep) })
}

func (r *run) measureTokens(p *portal, load *tokenLoad, signatures *rawSigner, rep *report) error {
	clients := slices.Sorted(maps.Keys(algorithms))
	rows, rates := map[string]*tokenRow{}, map[string]float64{}
	for _, client := range clients {
		rows[client] = &tokenRow{alg: algorithms[client]}
		warm, err := r.redeem(p, load, client, 200)
		if err != nil {
			return err
		}
		rates[client] = warm.rate()
	}
	rounds := max(r.rounds/2, 1)
	progress("%d rounds of %d algorithms", rounds, len(clients))
	for round := range rounds {
		for _, i := range order(len(clients), round) {
			client := clients[i]
			t := rows[client]
			s, err := t.measure(signatures, t.alg, func() (slice, error) {
				return r.redeem(p, load, client, max(int(rates[client]*r.slice.Seconds()), directConnections))
			})
			if err != nil {
				return err
			}
			rates[client] = s.rate()
			r.record("token", round, t.alg, s)
		}
	}
	for _, client := range clients {
		rep.tokens = append(rep.tokens, *rows[client])
	}
	return nil
}

// redeem obtains n codes, and then redeems them in a timed slice.
func (r *run) redeem(p *portal, load *tokenLoad, client string, n int) (slice, error) {
	codes, err := load.codes(client, n)
	if err != nil {
		return slice{}, fmt.Errorf("%w; Caddy's log ends: %s", err, tail(p.log))
	}
	return p.costing(func() (slice, error) { return load.redeem(client, codes) })
}

// A tokenLoad is what loads the token endpoint: connections that write requests
// made beforehand, since net/http's client would take longer than Caddy.
type tokenLoad struct {
	*conns
	cookies []string
	used    int // of all cookies, so that they take turns; also numbers verifiers
}

// An issued code, and what it takes to redeem it.
type issued struct{ code, verifier string }

// codes signs in to a client n times, each with a challenge of its own.
func (l *tokenLoad) codes(client string, n int) ([]issued, error) {
	first := l.used
	l.used += n
	codes := make([]issued, n)
	err := l.each(n, func(c *conn, i int) error {
		codes[i].verifier = verifierOf(first + i)
		resp, body, err := c.do(fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nCookie: %s\r\n\r\n",
			authPath(client, challengeOf(codes[i].verifier)), l.host, l.cookies[(first+i)%len(l.cookies)]))
		if err != nil {
			return fmt.Errorf("obtaining a code: %w", err)
		}
		at, err := resp.Location()
		if err != nil || resp.StatusCode != http.StatusFound || at.Query().Get("code") == "" {
			return fmt.Errorf("obtaining a code: %s, no code: %s", resp.Status, body)
		}
		codes[i].code = at.Query().Get("code")
		return nil
	})
	return codes, err
}

// redeem redeems codes as fast as it can. A wrong answer counts as an error.
func (l *tokenLoad) redeem(client string, codes []issued) (slice, error) {
	requests := make([][]byte, len(codes))
	for i, one := range codes {
		form := url.Values{
			"grant_type": {"authorization_code"}, "client_id": {client}, "redirect_uri": {callback},
			"code": {one.code}, "code_verifier": {one.verifier},
		}.Encode()
		requests[i] = fmt.Appendf(nil, "POST /api/oauth2/token HTTP/1.1\r\nHost: %s\r\n"+
			"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s", l.host, len(form), form)
	}
	prefix := tokenPrefix(algorithms[client])
	return l.fire(requests, func(resp *http.Response, body []byte) bool {
		return resp.StatusCode == http.StatusOK && bytes.HasPrefix(body, prefix)
	})
}

// tokenPrefix is how an answer begins whose token was signed with alg.
func tokenPrefix(alg string) []byte {
	header, _ := json.Marshal(map[string]string{"alg": alg})
	// Three characters of base64 for every four: without what may change with
	// what follows in the header.
	encoded := base64.RawURLEncoding.EncodeToString(bytes.TrimSuffix(header, []byte("}")))
	return []byte(`{"access_token":"` + encoded[:len(encoded)/4*4])
}

// verifierOf and challengeOf are those of RFC 7636, numbered.
func verifierOf(i int) string {
	sum := sha256.Sum256(fmt.Append(nil, i))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
