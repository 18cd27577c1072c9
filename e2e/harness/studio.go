package harness

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A Studio is a game studio's own server, which has accounts since before there
// was a portal. It is made from docs/own-signin.md alone, as its readers make
// theirs. Below its origin lie
//
//	/check     where the portal asks whether a password is right (signin backend)
//	/sign-in   its own sign-in page, which leads back with a ticket (signin trusted)
type Studio struct {
	// Origin is on another site than localhost.
	Origin string

	// Tickets is where it asks for tickets.
	Tickets string

	tb     testing.TB
	server *httptest.Server

	mu       sync.Mutex
	asked    []Question
	hangs    chan struct{} // closed when it hangs no more; nil: it does not
	secret   string        // that it signs with
	holds    bool
	sessions map[string]*studioSession // by cookie
}

// StudioSecret is what the studio and the portal have in common.
const StudioSecret = "a-secret-of-the-studio-0123456789"

// StudioPassword is that of all of the studio's accounts.
const StudioPassword = "open sesame"

// StudioUsers are its accounts, as it tells of them, by what people sign in with.
var StudioUsers = map[string]map[string]any{
	"zoe": {"subject": "17", "name": "zoe", "email": "zoe@game.example", "email_verified": true, "groups": []string{"players"}, "avatar": "https://game.example/zoe.png"},
	"max": {"subject": "18", "name": "max", "email": "max@game.example", "email_verified": false},
	// One that has the name of a user of the portal's own.
	"two": {"subject": "19", "name": Demo.Name},
}

// A Question is what the portal asked about a password.
type Question struct{ Username, Password, Address string }

// A studioSession is one browser's at the studio.
type studioSession struct {
	state, user string // user: "" before signing in
}

// NewStudio starts a studio for the portal at an origin. It ends with the test.
func NewStudio(tb testing.TB, portal string) *Studio {
	tb.Helper()
	s := &Studio{
		Origin: fmt.Sprintf("http://127.0.0.1:%d", Port(tb)), Tickets: portal + "/sso/trusted/shop/ticket",
		tb: tb, secret: StudioSecret, sessions: make(map[string]*studioSession),
	}
	s.Up()
	tb.Cleanup(s.Down)
	return s
}

// Up starts its server again.
func (s *Studio) Up() {
	s.tb.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /check", s.check)
	mux.HandleFunc("GET /sign-in", s.page)
	mux.HandleFunc("POST /sign-in", s.signIn)
	mux.HandleFunc("POST /cancel", s.cancel)
	l, err := net.Listen("tcp", strings.TrimPrefix(s.Origin, "http://"))
	if err != nil {
		s.tb.Fatal(err)
	}
	s.server = httptest.NewUnstartedServer(mux)
	s.server.Listener.Close()
	s.server.Listener = l
	s.server.Start()
}

// Down stops its server.
func (s *Studio) Down() {
	s.Hang(false)
	if s.server == nil {
		return
	}
	s.server.CloseClientConnections()
	s.server.Close()
	s.server = nil
}

// Hang has it answer no question about a password, until it is told otherwise.
func (s *Studio) Hang(hang bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hangs != nil {
		close(s.hangs)
		s.hangs = nil
	}
	if hang {
		s.hangs = make(chan struct{})
	}
}

// Hold has it show where a ticket leads, in place of going there.
func (s *Studio) Hold(hold bool) {
	s.mu.Lock()
	s.holds = hold
	s.mu.Unlock()
}

// SignWith has it sign its requests with another secret.
func (s *Studio) SignWith(secret string) {
	s.mu.Lock()
	s.secret = secret
	s.mu.Unlock()
}

// Asked are the questions about passwords, oldest first.
func (s *Studio) Asked() []Question {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

// Backend is the sign-in method by its passwords, with further lines.
func (s *Studio) Backend(lines ...string) string {
	return fmt.Sprintf("signin backend accounts {\n\turl %s/check\n\tsecret %s\n\t%s\n}\n", s.Origin, StudioSecret, strings.Join(lines, "\n\t"))
}

// Trusted is the sign-in method by its page.
func (s *Studio) Trusted() string {
	return fmt.Sprintf("signin trusted shop {\n\turl %s/sign-in\n\tsecret %s\n\tname \"The shop\"\n}\n", s.Origin, StudioSecret)
}

// StudioSignature is the value of X-Sso-Signature.
func StudioSignature(secret string, body []byte, at time.Time) string {
	t := at.Unix()
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "%d.%s", t, body)
	return fmt.Sprintf("t=%d,v1=%s", t, hex.EncodeToString(mac.Sum(nil)))
}

// check answers whether a password is right. Nothing unsigned comes from the
// portal.
func (s *Studio) check(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 64<<10))
	if err != nil {
		return // given up
	}
	signature := r.Header.Get("X-Sso-Signature")
	seconds, _, _ := strings.Cut(strings.TrimPrefix(signature, "t="), ",")
	t, err := strconv.ParseInt(seconds, 10, 64)
	at := time.Unix(t, 0)
	if err != nil || !hmac.Equal([]byte(signature), []byte(StudioSignature(StudioSecret, body, at))) || time.Since(at).Abs() > time.Minute {
		s.tb.Errorf("the studio got a request with the signature %q", signature)
		http.Error(w, "the signature is not right", http.StatusBadRequest)
		return
	}
	var q Question
	if err := json.Unmarshal(body, &q); err != nil {
		s.tb.Errorf("the studio got no JSON: %v", err)
		http.Error(w, "no JSON", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.asked = append(s.asked, q)
	hangs := s.hangs
	s.mu.Unlock()
	if hangs != nil {
		select {
		case <-hangs:
		case <-r.Context().Done():
		}
		return
	}
	user := studioUser(q.Username)
	answer := map[string]any{"user": user}
	w.Header().Set("Content-Type", "application/json")
	if right := hmac.Equal([]byte(q.Password), []byte(StudioPassword)); user == nil || !right {
		w.WriteHeader(http.StatusUnauthorized)
		answer = map[string]any{"error": "wrong"}
		if user != nil {
			answer["user"] = map[string]any{"subject": user["subject"]}
		}
	}
	_ = json.NewEncoder(w).Encode(answer) // the portal went away
}

// studioUser is the account that someone means, by its name, its e-mail address
// or a telephone number that ends in its subject; nil where there is none.
func studioUser(typed string) map[string]any {
	for name, user := range StudioUsers {
		subject, _ := user["subject"].(string)
		if strings.EqualFold(typed, name) || user["email"] == typed || typed == "+420 600 000 0"+subject {
			return user
		}
	}
	return nil
}

const studioCookie = "studio"

// session is this browser's, which is made where there is none.
func (s *Studio) session(w http.ResponseWriter, r *http.Request) *studioSession {
	if cookie, err := r.Cookie(studioCookie); err == nil && s.sessions[cookie.Value] != nil {
		return s.sessions[cookie.Value]
	}
	name, made := rand.Text(), new(studioSession)
	s.sessions[name] = made
	http.SetCookie(w, &http.Cookie{Name: studioCookie, Value: name, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	return made
}

// page is where a browser comes to with a state. A user who is signed in already goes
// straight back, unless that is not to be.
func (s *Studio) page(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.session(w, r)
	if state := r.URL.Query().Get("state"); state != "" {
		in.state = state
	}
	if in.user != "" && r.URL.Query().Get("prompt") == "" {
		s.goBack(w, r, in)
		return
	}
	s.show(w, http.StatusOK, map[string]any{"Form": true, "Hint": r.URL.Query().Get("login_hint")})
}

func (s *Studio) signIn(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.session(w, r)
	if name := r.FormValue("login"); StudioUsers[name] != nil {
		in.user = name
	}
	if in.user == "" || in.state == "" {
		s.show(w, http.StatusBadRequest, map[string]any{"Form": true, "Problem": "There is no such account, or nobody asked for one."})
		return
	}
	s.goBack(w, r, in)
}

func (s *Studio) cancel(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.session(w, r)
	back, _, _ := strings.Cut(s.Tickets, "/sso/")
	http.Redirect(w, r, back+"/sso/callback/shop?"+url.Values{"error": {"access_denied"}, "state": {in.state}}.Encode(), http.StatusSeeOther)
}

// goBack trades what it knows of the user for a ticket, and sends the browser
// back with it.
func (s *Studio) goBack(w http.ResponseWriter, r *http.Request, in *studioSession) {
	now := time.Now()
	body, err := json.Marshal(map[string]any{"state": in.state, "user": StudioUsers[in.user], "auth_time": now.Unix(), "nonce": rand.Text()})
	if err != nil {
		s.tb.Error(err)
		return
	}
	status, answer, err := s.Ask(body, StudioSignature(s.secret, body, now))
	switch {
	case err != nil:
		s.show(w, http.StatusBadGateway, map[string]any{"Problem": err.Error()})
	case status != http.StatusOK:
		s.show(w, http.StatusBadGateway, map[string]any{"Problem": fmt.Sprintf("The portal answered %d: %s", status, answer.Error)})
	case s.holds:
		s.show(w, http.StatusOK, map[string]any{"URL": answer.URL})
	default:
		http.Redirect(w, r, answer.URL, http.StatusSeeOther)
	}
}

// A TicketAnswer is what the portal answers who asks for a ticket.
type TicketAnswer struct {
	Ticket, URL, Error string
}

// Ask asks the portal for a ticket.
func (s *Studio) Ask(body []byte, signature string) (status int, answer TicketAnswer, err error) {
	r, err := http.NewRequest(http.MethodPost, s.Tickets, strings.NewReader(string(body)))
	if err != nil {
		return 0, answer, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Sso-Signature", signature)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, answer, err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return resp.StatusCode, answer, fmt.Errorf("the portal answered %d, no JSON: %w", resp.StatusCode, err)
	}
	return resp.StatusCode, answer, nil
}

func (s *Studio) show(w http.ResponseWriter, status int, view map[string]any) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = studioPage.Execute(w, view) // the browser went away
}

var studioPage = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en">
<title>The shop</title>
<h1>The shop</h1>
{{with .Problem}}<p id="problem">{{.}}</p>{{end}}
{{with .URL}}<p><a id="ticket" href="{{.}}">Go back</a></p>{{end}}
{{if .Form}}
<form method="post" action="/sign-in"><label>Name <input name="login" id="login" value="{{.Hint}}"></label> <button>Sign in at the shop</button></form>
<form method="post" action="/cancel"><button>Not now</button></form>
{{end}}
</html>
`))
