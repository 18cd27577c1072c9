package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
)

// gateUsers is how many people are signed in at the gate.
const gateUsers = 1000

// gate compares the gate with what else may stand before an upstream.
func (r *run) gate(ctx context.Context, rep *report) error {
	ports, err := named("portal", "a", "a2", "h", "b", "c", "upstream")
	if err != nil {
		return err
	}
	hash, err := r.hash(ctx)
	if err != nil {
		return err
	}
	users := userNames(gateUsers)
	stopUpstream, err := startUpstream(ctx, ports["upstream"])
	if err != nil {
		return err
	}
	defer stopUpstream()
	c, err := r.startCaddy(ctx, "gate.Caddyfile", map[string]any{
		"Port": ports, "Dir": r.dir + "/gate", "Users": users, "Hash": hash,
		"Static": map[string]string{"User": staticUser, "Subject": staticSubject, "Email": staticEmail, "Groups": staticGroups},
	}, ports)
	if err != nil {
		return err
	}
	defer c.close()

	progress("signing in %d users", len(users))
	cookies, err := signInAll("localhost:"+ports["b"], users)
	if err != nil {
		return fmt.Errorf("%w; Caddy's log ends: %s", err, tail(c.log))
	}
	file := filepath.Join(r.dir, "gate.cookies")
	if err := writeLines(file, cookies); err != nil {
		return err
	}

	cmp := &comparison{title: "Before an upstream"}
	for _, w := range []row{
		{name: "a", what: "bare `reverse_proxy`"},
		{name: "a2", what: "the same again: the control"},
		{name: "h", what: "with four static `request_header`"},
		{name: "b", what: "with `sso_gate`, signed in"},
		{name: "c", what: "with `forward_auth` to a trivial server"},
	} {
		w.host, w.path, w.cookies, w.status = "localhost:"+ports[w.name], "/", file, http.StatusOK
		cmp.rows = append(cmp.rows, w)
		if err := probe(w, cookies[0]); err != nil {
			return err
		}
		if _, err := r.wrk(ctx, w, 0); err != nil { // to warm up
			return err
		}
	}
	cmp.notes = []string{fmt.Sprintf("%d sessions, each begun by signing in on the hosted page; all rows are sent the same requests, "+
		"with the cookies of those sessions in turn.", len(users))}
	progress("%d rounds of %d rows", r.rounds, len(cmp.rows))
	if err := r.compare(ctx, c, cmp, "gate"); err != nil {
		return err
	}
	rep.gate = cmp
	return nil
}

// probe asks a row what its upstream is sent: as many identity headers as it
// is there for, and, behind the gate, not the gate's cookie.
func probe(w row, cookie string) error {
	req, err := http.NewRequest(http.MethodGet, "http://"+w.host+headersPath, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Cookie", cookie)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("probing row %s: %w", w.name, err)
	}
	defer resp.Body.Close()
	var sent http.Header
	if err := json.NewDecoder(resp.Body).Decode(&sent); err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("probing row %s: status %d, %w", w.name, resp.StatusCode, err)
	}
	identity := 0
	for _, name := range identityHeaders {
		if sent.Get(name) != "" {
			identity++
		}
	}
	want := len(identityHeaders)
	if strings.HasPrefix(w.name, "a") {
		want = 0
	}
	if identity != want {
		return fmt.Errorf("probing row %s: its upstream got %d identity headers, not %d", w.name, identity, want)
	}
	if w.name == "b" && (sent.Get("X-Sso-User") != userNames(1)[0] || strings.Contains(sent.Get("Cookie"), "caddy_sso_")) {
		return fmt.Errorf("probing row %s: not the user who signed in, or the gate's own cookies were forwarded", w.name)
	}
	return nil
}
