package gate

import (
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/internal/oauth"
	"github.com/caddy-sso/caddy-sso/session"
)

func TestClass01WithABearerAClientsCopySurvivesNothing(t *testing.T) {
	f := newFixture(t)
	f.gate.Policy.Clients = []string{"3"}
	f.users[demo.Subject] = session.User{Subject: demo.Subject, Name: "demo", Signin: "local"}
	forged := []string{
		"X-SSO-User", "admin", "X-SSO-Email", "admin@example.com", "X-SSO-Groups", "admins", "X-SSO-Subject", "0", "X-SSO-Client", "1",
		"X-SSO-License-Product", "demo",
	}
	for name, tt := range map[string]struct {
		token string
		want  map[string][]string
	}{
		"a user's":       {f.tokens(f.browser().signIn(demo)).Access, map[string][]string{"X-Sso-User": {"demo"}, "X-Sso-Subject": {demo.Subject}}},
		"a client's own": {f.clientToken("3"), map[string][]string{"X-Sso-Client": {"3"}}},
	} {
		wantStatus(t, f.call(bearer(tt.token), forged...), http.StatusOK)
		if got := identityOf(f.last.Header); !maps.EqualFunc(got, tt.want, slices.Equal) {
			t.Errorf("%s: the upstream got %v, expected %v", name, got, tt.want)
		}
	}
	// With a session, the name of a client is nobody's, either.
	b := f.browser()
	b.enter(demo)
	b.want(b.do("GET", "/", "X-SSO-Client", "3"), http.StatusOK)
	if got := f.last.Header["X-Sso-Client"]; got != nil {
		t.Errorf("the upstream got X-SSO-Client %q", got)
	}
}

func TestClass02WithABearerNoSpellingArrives(t *testing.T) {
	f := newFixture(t)
	f.gate.Policy.Clients = []string{"3"}
	for _, token := range []string{f.tokens(f.browser().signIn(demo)).Access, f.clientToken("3")} {
		for _, name := range append(spellings, "X_SSO_Client", "x.sso.client", "X!Sso!Client") {
			r := f.browser().request("/")
			r.Header["Authorization"] = bearer(token)
			r.Header[name] = []string{"admin"}
			r.Trailer = http.Header{name: nil}
			wantStatus(t, f.serve(r), http.StatusOK)
			if got := f.last.Header[name]; slices.Contains(got, "admin") {
				t.Errorf("the upstream got %s: %v", name, got)
			}
			if _, there := f.last.Trailer[name]; there {
				t.Errorf("the upstream is promised a trailer %s", name)
			}
		}
	}
}

// A token is good for what the policy is for, and for nothing of the gate's own.
func TestClass03ATokenIsNoSessionOnTheGatesOwnPaths(t *testing.T) {
	f := newFixture(t)
	f.gate.Match = func(r *http.Request) (bool, error) { return strings.HasPrefix(r.URL.Path, "/api"), nil }
	sess := f.browser().signIn(demo)
	token := f.tokens(sess).Access
	for _, path := range []string{"/public", "/oauth2/other"} {
		r := f.browser().request(path)
		r.Header["Authorization"] = bearer(token)
		for _, name := range spellings {
			r.Header[name] = []string{"admin"}
		}
		wantStatus(t, f.serve(r), http.StatusOK)
		if got := identityOf(f.last.Header); len(got) > 0 {
			t.Errorf("%s: the upstream got %v", path, got)
		}
	}
	f.called = 0
	for _, path := range []string{SignInPath, SignOutPath, "/oauth2/callback", SignedInPath + "?window=x&return=/"} {
		for _, method := range []string{"GET", "POST"} {
			r := f.browser().request(path)
			r.Method = method
			r.Header["Authorization"] = bearer(token)
			if w := f.serve(r); len(w.Result().Cookies()) > 1 || strings.Contains(w.Body.String(), "demo@example.com") {
				t.Errorf("%s %s: %v: %s", method, path, w.Header(), w.Body)
			}
		}
	}
	f.untouched()
	if _, err := f.gate.Server.Sessions.Lookup(t.Context(), sess.Key()); err != nil {
		t.Error("the session was ended by a token:", err)
	}
}

func TestClass04BehindAProxyConnectionRemovesNothingOfABearers(t *testing.T) {
	f := newFixture(t)
	f.gate.Policy.Clients = []string{"3"}
	seen := make(chan http.Header, 1)
	address := behind(t, f, func(_ http.ResponseWriter, r *http.Request) { seen <- r.Header })
	for token, want := range map[string]string{f.tokens(f.browser().signIn(demo)).Access: "X-Sso-User", f.clientToken("3"): "X-Sso-Client"} {
		for _, connection := range []string{"X-SSO-User, X-SSO-Client", "close, x_sso_client, X-Sso-User", "x-sso-client\r\nConnection: X-SSO-User"} {
			response, _, _ := send(t, address, "GET / HTTP/1.1\r\nHost: localhost:8081\r\nX-SSO-User: admin\r\nAuthorization: Bearer "+token+"\r\nConnection: "+connection+"\r\n\r\n")
			if response.StatusCode != http.StatusOK {
				t.Fatalf("status %d", response.StatusCode)
			}
			got := <-seen
			if ids := identityOf(got); len(ids[want]) != 1 || ids[want][0] == "admin" || got.Get("Authorization") != "Bearer "+token {
				t.Errorf("with Connection: %s the upstream got %v", connection, got)
			}
		}
	}
}

// The kinds of connections that outlive the check of a token, as a client opens
// them and as the upstream holds them.
var connections = map[string]struct {
	request  string
	upstream http.HandlerFunc
}{
	"a WebSocket": {
		"GET /ws HTTP/1.1\r\nHost: localhost:8081\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
		func(w http.ResponseWriter, _ *http.Request) {
			conn, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(err)
			}
			defer conn.Close()
			rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
			rw.Flush()
			io.Copy(io.Discard, rw)
		},
	},
	"an event stream": {
		"GET /events HTTP/1.1\r\nHost: localhost:8081\r\nAccept: text/event-stream\r\n",
		func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
	},
	"an upload": {
		"POST /upload HTTP/1.1\r\nHost: localhost:8081\r\nTransfer-Encoding: chunked\r\n",
		func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) },
	},
}

func TestClass16AConnectionEndsWithTheTokenThatOpenedIt(t *testing.T) {
	end := map[string]struct {
		scope []string
		end   func(f *fixture, sess *session.Session, token string)
	}{
		"the session ends": {nil, func(f *fixture, sess *session.Session, _ string) {
			if err := f.gate.Server.Sessions.End(f.t.Context(), sess.Key()); err != nil {
				f.t.Fatal(err)
			}
		}},
		"the grant ends":          {nil, func(f *fixture, _ *session.Session, token string) { f.endGrant(token) }},
		"the grant ends, offline": {[]string{"offline"}, func(f *fixture, _ *session.Session, token string) { f.endGrant(token) }},
		"the token expires":       {nil, nil},
	}
	for kind, connection := range connections {
		for why, tt := range end {
			t.Run(kind+", "+why, func(t *testing.T) {
				f := newFixture(t)
				begun, over := make(chan struct{}), make(chan struct{})
				address := behind(t, f, func(w http.ResponseWriter, r *http.Request) {
					close(begun)
					defer close(over)
					connection.upstream(w, r)
				})
				sess := f.browser().signIn(demo)
				token := f.tokens(sess, tt.scope...).Access
				if tt.end == nil {
					f.clock.Advance(oauth.TokenLifetime - 500*time.Millisecond)
				}
				conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				if _, err := io.WriteString(conn, connection.request+"Authorization: Bearer "+token+"\r\n\r\n"); err != nil {
					t.Fatal(err)
				}
				<-begun
				if tt.end != nil {
					tt.end(f, sess, token)
				}
				<-over
			})
		}
	}
}

// An offline grant outlives its session, and so do its connections.
func TestAConnectionOfAnOfflineGrantOutlivesTheSession(t *testing.T) {
	f := newFixture(t)
	sess := f.browser().signIn(demo)
	r := f.browser().request("/")
	r.Header["Authorization"] = bearer(f.tokens(sess, "offline").Access)
	pass, ok := f.gate.Handle(httptest.NewRecorder(), r)
	if !ok {
		t.Fatal("refused")
	}
	defer pass.Release()
	if err := f.gate.Server.Sessions.End(t.Context(), sess.Key()); err != nil {
		t.Fatal(err)
	}
	if err := pass.Request.Context().Err(); err != nil {
		t.Error("the request has ended:", err)
	}
}

func TestATokenThatEndsBeforeTheAnswerIsChallenged(t *testing.T) {
	f := newFixture(t)
	r := f.browser().request("/")
	r.Header["Authorization"] = bearer(f.tokens(f.browser().signIn(demo)).Access)
	r.Header.Set("Accept", "text/html")
	pass, ok := f.gate.Handle(httptest.NewRecorder(), r)
	if !ok {
		t.Fatal("refused")
	}
	pass.Release()
	w := httptest.NewRecorder()
	f.gate.AnswerEnded(w, pass.Request)
	wantChallenge(t, w, http.StatusUnauthorized, "invalid_token")
}

func TestSeveralGatesGoByOneToken(t *testing.T) {
	f := newFixture(t)
	f.gate.Policy.Clients = []string{"3"}
	second := f.second(func(g *Gate) {
		g.Policy.Groups, g.Policy.Clients = []string{"staff"}, nil
		protects(g, "/admin")
	})
	off := f.second(func(g *Gate) {
		g.Policy.Bearer = false
		protects(g, "/pages")
	})
	token := f.tokens(f.browser().signIn(demo)).Access
	for path, want := range map[string]map[string]int{
		"/":      {token: http.StatusOK, f.clientToken("3"): http.StatusOK},
		"/admin": {token: http.StatusForbidden, f.clientToken("3"): http.StatusForbidden},
		"/pages": {token: http.StatusUnauthorized, f.clientToken("3"): http.StatusUnauthorized},
	} {
		for token, status := range want {
			r := f.browser().request(path)
			r.Header["Authorization"] = bearer(token)
			f.called = 0
			wantStatus(t, f.serve(r, f.gate, second, off), status)
			if status != http.StatusOK {
				f.untouched()
			}
		}
	}

	// What stands between them cannot put another token in.
	r := f.browser().request("/admin")
	r.Header["Authorization"] = bearer(token)
	pass, ok := f.gate.Handle(httptest.NewRecorder(), r)
	if !ok {
		t.Fatal("refused")
	}
	defer pass.Release()
	staff := session.User{Subject: "33333333-3333-4333-8333-333333333333", Name: "staff", Groups: []string{"staff"}, Signin: "local"}
	f.users[staff.Subject] = staff
	pass.Request.Header["Authorization"] = bearer(f.tokens(f.browser().signIn(staff)).Access)
	w := httptest.NewRecorder()
	if _, ok := second.Handle(w, pass.Request); ok {
		t.Error("the second gate goes by another token")
	}
	wantChallenge(t, w, http.StatusForbidden, "insufficient_scope")
}

// A gate whose policy is for other paths has seen the header first.
func TestALaterGateGoesByTheHeaderAsItCame(t *testing.T) {
	f := newFixture(t)
	protects(f.gate, "/api")
	later := f.second(func(g *Gate) { protects(g, "/admin") })
	r := f.browser().request("/admin")
	r.Header["Authorization"] = bearer("x")
	pass, ok := f.gate.Handle(httptest.NewRecorder(), r)
	if !ok {
		t.Fatal("refused")
	}
	defer pass.Release()
	pass.Request.Header["Authorization"] = bearer(f.tokens(f.browser().signIn(demo)).Access)
	w := httptest.NewRecorder()
	if _, ok := later.Handle(w, pass.Request); ok {
		t.Error("the later gate goes by a token that the client did not send")
	}
	wantChallenge(t, w, http.StatusUnauthorized, "invalid_token")
}

// FuzzAuthorization: whatever the header says, nobody passes but by the token,
// and nothing leads to a page.
func FuzzAuthorization(f *testing.F) {
	fix := newFixture(f)
	sess := fix.browser().signIn(demo)
	tokens := fix.tokens(sess)
	own := fix.clientToken("3")
	cut := strings.LastIndex(tokens.Access, ".")
	for _, seed := range []string{
		"", "Bearer", "Bearer ", "bearer x", "Bearer " + tokens.ID, "Bearer " + own, "Bearer  " + tokens.Access + " ", "Basic eDp5",
		"Bearer " + tokens.Access[:cut], "Bearer " + tokens.Access + "=", "Bearer " + tokens.Access + ",", "Bearer\t" + tokens.Access,
		"Bearer " + tokens.Access[:cut+1] + "A" + tokens.Access[cut+2:], "Bearer " + strings.Repeat("A", 20_000), "Bearer \x00\"", "\xff",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
		r.Host = "localhost:8081"
		r.Header["Authorization"] = []string{header}
		r.Header.Set("X-SSO-User", "admin")
		w := httptest.NewRecorder()
		pass, ok := fix.gate.Handle(w, r)
		scheme, token, _ := strings.Cut(header, " ")
		ours := strings.EqualFold(scheme, "Bearer")
		if ok {
			defer pass.Release()
			if !ours || strings.Trim(token, " ") != tokens.Access || pass.User == nil || pass.User.Name != "demo" || pass.Request.Header.Get("X-SSO-User") != "demo" {
				t.Fatalf("%q passes as %v", header, pass.User)
			}
			return
		}
		if len(identityOf(r.Header)) > 0 {
			t.Errorf("%q leaves %v", header, r.Header)
		}
		challenge := w.Header().Get("Www-Authenticate")
		if w.Code != http.StatusUnauthorized && w.Code != http.StatusForbidden || ours == (challenge == `Bearer realm="sso"`) || !strings.HasPrefix(challenge, "Bearer") {
			t.Errorf("%q: status %d, WWW-Authenticate %q", header, w.Code, challenge)
		}
	})
}
