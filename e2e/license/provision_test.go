package license

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-sso/caddy-sso/e2e/harness"
)

const provisionSecret = "a-secret-of-the-license-users-backend"

// A userBackend is where a vendor's license users are created.
type userBackend struct {
	addr string

	mu      sync.Mutex
	created []map[string]any
	faults  []string
	refuse  bool
	open    bool // to anything
}

func (b *userBackend) serve(t *testing.T) {
	t.Helper()
	socket, err := net.Listen("tcp", b.addr)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: b, ReadHeaderTimeout: harness.Patience}
	go func() { _ = server.Serve(socket) }() // ends with Close
	t.Cleanup(func() { _ = server.Close() })
}

// ServeHTTP creates a user, if the signature is right.
func (b *userBackend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err == nil && !b.open {
		err = checkProvision(r, body)
	}
	var said map[string]any
	if err == nil {
		err = json.Unmarshal(body, &said)
	}
	if err != nil {
		b.faults = append(b.faults, err.Error())
		w.WriteHeader(http.StatusForbidden)
		return
	}
	if b.refuse {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	b.created = append(b.created, said)
	w.WriteHeader(http.StatusCreated)
}

func checkProvision(r *http.Request, body []byte) error {
	stamp, signature, found := strings.Cut(strings.TrimPrefix(r.Header.Get("X-SSO-Signature"), "t="), ",v1=")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if !found || err != nil {
		return fmt.Errorf("X-SSO-Signature is %q", r.Header.Get("X-SSO-Signature"))
	}
	if off := time.Since(time.Unix(seconds, 0)); off < -5*time.Minute || off > 5*time.Minute {
		return fmt.Errorf("signed %v ago", off)
	}
	mac := hmac.New(sha256.New, []byte(provisionSecret))
	fmt.Fprintf(mac, "%s.%s", stamp, body)
	if want := hex.EncodeToString(mac.Sum(nil)); signature != want {
		return fmt.Errorf("the signature is %q, want %q", signature, want)
	}
	if r.Method != http.MethodPost || r.URL.Path != "/license-users" || r.Header.Get("Content-Type") != "application/json" {
		return fmt.Errorf("%s %s of %s", r.Method, r.URL, r.Header.Get("Content-Type"))
	}
	return nil
}

// users are those that were created.
func (b *userBackend) users(t *testing.T) []map[string]any {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range b.faults {
		t.Error("the backend refused: " + f)
	}
	return b.created
}

func (b *userBackend) setRefuse(refuse bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refuse = refuse
}

func TestTheBackendHearsOnceOfEachUsersFirstSignIn(t *testing.T) {
	t.Parallel()
	users := &userBackend{addr: fmt.Sprintf("127.0.0.1:%d", harness.Port(t))}
	w := start(t, func(_ *harness.Caddyfile, l *harness.License) {
		l.Product = "provision http://" + users.addr + "/license-users " + provisionSecret
	})
	a := w.app(t, harness.NewClient(t))

	// There is nobody to hear it.
	page := a.browser.SignIn(a.link(t, "code"), harness.Demo)
	a.wantPage(t, page, w.Portal, http.StatusServiceUnavailable, "Your license is not ready yet")
	again, err := page.LinkSaying("Try again now")
	if err != nil {
		t.Fatal(err)
	}
	// There is someone who cannot.
	users.setRefuse(true)
	users.serve(t)
	a.wantPage(t, a.browser.Open(again), w.Portal, http.StatusServiceUnavailable, "Your license is not ready yet")
	// The same link goes on.
	users.setRefuse(false)
	code := codeIn(t, a.arrived(t, a.browser.Open(again)))
	got := w.wantActivated(t, a, a.Activation(code, ""), harness.Demo)

	a.again(t, "code")
	w.app(t, harness.NewClient(t)).signIn(t, "token", harness.Demo)
	created := users.users(t)
	if len(created) != 1 {
		t.Fatalf("the backend created %v", created)
	}
	user, _ := created[0]["user"].(map[string]any)
	for name, pair := range map[string][2]any{
		"event":   {created[0]["event"], "first_sign_in"},
		"product": {created[0]["product"], "demo"},
		"account": {created[0]["customer_account"], "other"},
		"name":    {user["name"], harness.Demo.Name},
		"email":   {user["email"], harness.Demo.Email},
		"subject": {user["subject"], got.Header.Get("X-SSO-Subject")}, // as in the activation
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s is %v, want %v", name, pair[0], pair[1])
		}
	}

	w.app(t, harness.NewClient(t)).code(t, harness.Admin)
	if n := len(users.users(t)); n != 2 {
		t.Errorf("the backend heard of %d users, want 2", n)
	}
}
