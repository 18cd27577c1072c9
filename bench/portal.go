package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/caddy-sso/caddy-sso/session"
)

// What codes are allowed. Clients redeem a code within a second or two; here
// nobody does, so a shorter life than the default keeps as many alive as a
// portal at this rate would have. The capacity is that of a core's rate, with
// room.
const (
	codeLifetime   = "10s"
	codeSeconds    = 10
	codeCapacity   = 1_000_000
	codePerSession = 64 // and so 1024 of a user, of whom each has many sessions here
)

// callback is where codes are sent. Nobody follows.
const callback = "http://localhost:9/callback"

// algorithms are what tokens are signed with, by the client that they are for.
var algorithms = map[string]string{"1": "ES256", "2": "RS256"}

// portalUsers is how many users the sessions of the portal belong to.
const portalUsers = 1000

// A portal is a Caddy with sso_portal and many sessions.
type portal struct {
	*caddy
	ports   map[string]string
	cookies string // the file of Cookie headers, one for each session
}

func (p *portal) host(row string) string { return "localhost:" + p.ports[row] }

// startPortal begins the sessions and runs Caddy over them.
func (r *run) startPortal(ctx context.Context, name string, sessions int) (*portal, error) {
	ports, err := named("d", "d2", "e")
	if err != nil {
		return nil, err
	}
	return r.startSeeded(ctx, name, sessions, ports)
}

// startSeeded is startPortal with other ports; the License API has a
// configuration of its own.
func (r *run) startSeeded(ctx context.Context, name string, sessions int, ports map[string]string) (*portal, error) {
	hash, err := r.hash(ctx)
	if err != nil {
		return nil, err
	}
	names := userNames(portalUsers)
	users, subjects := make([]session.User, len(names)), make([]string, len(names))
	for i, name := range names {
		subjects[i] = fmt.Sprintf("00000000-0000-4000-8000-%012d", i)
		users[i] = session.User{Subject: subjects[i], Name: name, Email: name + "@example.com", Groups: []string{"players"}, Signin: "local", Mark: markOf(hash)}
	}
	p := &portal{ports: ports, cookies: filepath.Join(r.dir, name+".cookies")}
	dir := filepath.Join(r.dir, name)
	progress("beginning %d sessions", sessions)
	if err := seed(ctx, filepath.Join(dir, "sso.db"), p.cookies, "http://"+p.host("e"), users, sessions); err != nil {
		return nil, err
	}
	config := "portal.Caddyfile"
	if name == "license" {
		config = "license.Caddyfile"
	}
	p.caddy, err = r.startCaddy(ctx, config, map[string]any{
		"Port": ports, "Dir": dir, "Users": names, "Subjects": subjects, "Hash": hash,
		"Cache": sessions + sessions/4, "Algorithms": algorithms, "Callback": callback,
		"StaticCallback": callback + "?code=" + strings.Repeat("A", 43) + "&state=" + authState,
		"Key":            licenseKey, "Shared": licenseShared,
		"Codes": map[string]any{"Lifetime": codeLifetime, "Capacity": codeCapacity, "PerSession": codePerSession},
	}, ports)
	return p, err
}

// markOf is the mark that a local session has of its user's password hash.
func markOf(hash string) string {
	sum := sha256.Sum256([]byte(hash))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// authState is the state of all authorization requests.
const authState = "0123456789abcdef0123456789abcdef"

// authPath is an authorization request of a client, with PKCE.
func authPath(client, challenge string) string {
	return "/api/oauth2/auth?" + url.Values{
		"response_type": {"code"}, "client_id": {client}, "redirect_uri": {callback}, "scope": {"email"},
		"audience": {"game"}, "state": {authState}, "code_challenge": {challenge}, "code_challenge_method": {"S256"},
	}.Encode()
}

// auth compares a code with a static redirect.
func (r *run) auth(ctx context.Context, rep *report) error {
	p, err := r.startPortal(ctx, "auth", r.sessions)
	if err != nil {
		return err
	}
	defer p.close()
	cmp := &comparison{title: "A code beside a static redirect"}
	client := slices.Min(slices.Collect(maps.Keys(algorithms)))
	for _, w := range []row{
		{name: "d", what: "static `redir` 302"},
		{name: "d2", what: "the same again: the control"},
		{name: "e", what: "`GET /api/oauth2/auth`: a code"},
	} {
		w.host, w.cookies, w.status = p.host(w.name), p.cookies, http.StatusFound
		w.path = authPath(client, challengeOf(verifierOf(0)))
		w.location = callback + "?code="
		cmp.rows = append(cmp.rows, w)
	}
	progress("reading all sessions into memory")
	warm := 0
	for _, w := range cmp.rows {
		for begun := warm; ; {
			s, err := r.wrk(ctx, w, warm)
			if err != nil {
				return err
			}
			if s.errors() > 0 {
				return fmt.Errorf("warming up row %s: %s", w.name, failures([]slice{s}))
			}
			warm += s.requests
			if w.name != "e" || warm-begun >= r.sessions {
				break
			}
		}
	}
	progress("%d rounds of %d rows", r.rounds, len(cmp.rows))
	if err := r.compare(ctx, p.caddy, cmp, "auth"); err != nil {
		return err
	}
	issued := 0
	for _, s := range cmp.slices[len(cmp.rows)-1] {
		issued += s.requests
	}
	cmp.notes = []string{
		fmt.Sprintf("%d live sessions of %d users, begun in the store before Caddy started, all used in turn and all in Caddy's memory; "+
			"%d codes in the rounds. All rows are sent the same requests, with the same query.", r.sessions, portalUsers, issued),
		fmt.Sprintf("`codes { lifetime %s; capacity %d; per_session %d }`: the median rate times the lifetime is %.0f codes, if nothing else ran in between. "+
			"None is redeemed, so they expire as they would. The audit log is on and goes to a file.",
			codeLifetime, codeCapacity, codePerSession, medianOf(cmp.slices[len(cmp.rows)-1], slice.rate)*codeSeconds),
	}
	rep.auth = cmp
	return nil
}
