package browser

import (
	"crypto/tls"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
)

// A world is a portal and several sites, each with a gate of its own before the
// same backend.
type world struct {
	*harness.Server
	backend *backend
	secure  bool
	admin   string

	// Origins.
	portal    string // the portal; a gate beside it guards /private/
	game      string // an ordinary gate
	club      string // signs in in a window of its own
	arena     string // sends people without a session to its own page
	staff     string // is for the group staff
	shop      string // has three gates, and paths that none of them is for
	partner   string // no gate: an application that uses the Login API
	elsewhere string // another site: no gate, and no client
}

var (
	demo = harness.Demo  // of the group players
	root = harness.Admin // of the groups players and staff
)

// perName is how many failures a name has: half of an account's.
const perName = 4

// onLoopback is a world of http ports on localhost: one site to a browser, but
// different origins.
func onLoopback(t *testing.T) *world {
	t.Helper()
	w := &world{}
	for _, origin := range w.origins() {
		*origin = fmt.Sprintf("http://localhost:%d", harness.Port(t))
	}
	w.start(t)
	return w
}

// withTLS is a world of domains that are different sites to a browser.
func withTLS(t *testing.T) *world {
	t.Helper()
	port := harness.Port(t)
	w := &world{secure: true}
	for i, name := range []string{
		"login.portal", "game.site", "club.site", "arena.site", "staff.site", "shop.site", "partner.other", "www.elsewhere",
	} {
		*w.origins()[i] = fmt.Sprintf("https://%s.test:%d", name, port)
	}
	w.start(t)
	return w
}

// inBothWorlds runs a test in each.
func inBothWorlds(t *testing.T, test func(*testing.T, *world)) {
	t.Run("on http loopback ports", func(t *testing.T) { test(t, onLoopback(t)) })
	t.Run("with TLS on two sites", func(t *testing.T) { test(t, withTLS(t)) })
}

func (w *world) origins() []*string {
	return []*string{&w.portal, &w.game, &w.club, &w.arena, &w.staff, &w.shop, &w.partner, &w.elsewhere}
}

func (w *world) start(t *testing.T) {
	t.Helper()
	w.backend = newBackend(t)
	w.admin = fmt.Sprintf("127.0.0.1:%d", harness.Port(t))
	w.Server = harness.Start(t, w.caddyfile(t))
	if w.secure {
		// As it starts, Caddy clears away folders of its storage that are empty,
		// now and then one that a certificate is about to be put into, and tries
		// again a minute later only. A second start finds the others in place.
		if !w.certified(t, 10*time.Second) {
			w.Restart()
			if !w.certified(t, 30*time.Second) {
				t.Fatal("not all sites have a certificate")
			}
		}
	}
}

// certified waits until all sites have their certificates: the server comes up
// before.
func (w *world) certified(t *testing.T, patience time.Duration) bool {
	t.Helper()
	deadline := time.Now().Add(patience)
	for _, origin := range w.origins() {
		u, err := url.Parse(*origin)
		if err != nil {
			t.Fatal(err)
		}
		for {
			c, err := tls.Dial("tcp", "127.0.0.1:"+u.Port(), &tls.Config{ServerName: u.Hostname(), InsecureSkipVerify: true}) //nolint:gosec // of the server's own authority
			if err == nil {
				_ = c.Close()
				break
			}
			if time.Now().After(deadline) {
				return false
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	return true
}

func (w *world) caddyfile(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	hash := func(u harness.User) string {
		h, err := harness.Hash(u.Password)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	fmt.Fprintf(&b, "{\n\tadmin %s\n\tgrace_period 1s\n", w.admin)
	tls := ""
	if w.secure {
		b.WriteString("\tskip_install_trust\n\tauto_https disable_redirects\n")
		tls = "\ttls internal\n"
	} else {
		b.WriteString("\tauto_https off\n")
	}
	fmt.Fprintf(&b, `	sso {
		issuer %s
		storage memory
		brand {
			name "Demo studio"
		}
		signin local {
			attempts {
				per_account %d
				per_address 1000
				every 15m
			}
`, w.portal, 2*perName)
	for _, u := range []harness.User{demo, root} {
		fmt.Fprintf(&b, "\t\t\tuser %s %s {\n\t\t\t\temail %s\n\t\t\t\tgroup %s\n\t\t\t}\n", u.Name, hash(u), u.Email, strings.Join(u.Groups, " "))
	}
	b.WriteString("\t\t}\n")
	for i, c := range []struct{ name, origin string }{
		{"Demo game", w.game}, {"Night club", w.club}, {"Arena", w.arena}, {"Staff room", w.staff}, {"Shop", w.shop}, {"Partner", w.partner}, {"Older partner", w.partner},
	} {
		more := ""
		if c.origin == w.partner {
			more = "redirect_uri " + w.partner + "/try\n"
		}
		if c.name == "Older partner" { // which has no PKCE
			more = "allow_no_pkce\n"
		}
		fmt.Fprintf(&b, `		client %d {
			name "%s"
			public
			redirect_uri %s/oauth2/callback
			fail_auth_url %[3]s/signed-out
			fail_auth_url %[4]s
			%[5]s
			audience game
			scope email offline
		}
`, i+1, c.name, c.origin, w.partner, more)
	}
	fmt.Fprintf(&b, "\t}\n}\n\n(site) {\n%s\tlog {\n\t\toutput discard\n\t}\n}\n", tls)

	site := func(origin, lines string) {
		fmt.Fprintf(&b, "\n%s {\n\timport site\n%s\treverse_proxy %s\n}\n", origin, lines, w.backend.addr)
	}
	site(w.portal, "\tsso_portal\n\tsso_gate /private/* {\n\t\tclient 1\n\t}\n")
	site(w.game, "\tsso_gate {\n\t\tclient 1\n\t}\n\troute /demo {\n\t\theader Content-Type \"text/html; charset=utf-8\"\n\t\ttemplates {\n\t\t\tmime text/html\n\t\t}\n\t\troot testdata/demo\n\t\trewrite /index.html\n\t\tfile_server\n\t}\n")
	site(w.club, "\tsso_gate {\n\t\tclient 2\n\t\tpopup\n\t}\n")
	site(w.arena, "\tsso_gate {\n\t\tclient 3\n\t\tfail_auth_url "+w.arena+"/signed-out\n\t}\n")
	site(w.staff, "\tsso_gate {\n\t\tclient 4\n\t\trequire group staff\n\t}\n")
	site(w.shop, `	@members path /members/*
	sso_gate @members {
		client 5
		require group players
	}
	@office path /members/office/*
	sso_gate @office {
		client 5
		require group staff
	}
	@till path /members/office/till/*
	sso_gate @till {
		client 5
		header_prefix Till-
	}
`)
	site(w.partner, "")
	site(w.elsewhere, "")
	return b.String()
}
