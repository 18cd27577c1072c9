package harness

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/html"
)

// A Provider is an outside OpenID Connect provider: oidc-provider, in Node, on a
// loopback port of its own. Anybody may sign in there as any of its accounts.
type Provider struct {
	Issuer string

	// Accounts are the claims of its users, by sub.
	Accounts map[string]map[string]any

	// Settings are laid over those of the provider.
	Settings map[string]any

	// Client is laid over what the provider knows of the portal.
	Client map[string]any

	tb       testing.TB
	callback string
	cmd      *exec.Cmd
	orders   io.Writer
	done     chan struct{} // an order was followed

	mu      sync.Mutex
	renewed map[string]int
}

// What the provider knows the portal as.
const (
	ProviderClient = "sso"
	ProviderSecret = "a-secret-at-the-provider-0123456789"
)

// NewProvider is a provider that is down. It knows the portal by a redirect URI.
func NewProvider(tb testing.TB, callback string) *Provider {
	tb.Helper()
	p := &Provider{Issuer: fmt.Sprintf("http://localhost:%d", Port(tb)), tb: tb, callback: callback}
	tb.Cleanup(p.Stop)
	return p
}

// Start starts it, with another signing key than before.
func (p *Provider) Start() {
	p.tb.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		p.tb.Fatal("there is no node; install the Debian packages nodejs and npm")
	}
	e2e := filepath.Join(Root(p.tb), "e2e")
	if _, err := os.Stat(filepath.Join(e2e, "node_modules", "oidc-provider")); err != nil {
		p.tb.Fatalf("there is no oidc-provider (%v); install the Debian package npm, then run in e2e: npm ci --ignore-scripts", err)
	}
	client := map[string]any{"client_id": ProviderClient, "client_secret": ProviderSecret, "redirect_uris": []string{p.callback}}
	maps.Copy(client, p.Client)
	told, err := json.Marshal(map[string]any{
		"issuer": p.Issuer, "accounts": p.Accounts, "settings": p.Settings,
		"clients": []any{client},
	})
	if err != nil {
		p.tb.Fatal(err)
	}
	cmd := exec.Command(node, filepath.Join("provider", "provider.mjs"), string(told))
	cmd.Dir = e2e
	cmd.Env = append(os.Environ(), "NO_COLOR=1")
	out, err := cmd.StdoutPipe()
	if err == nil {
		p.orders, err = cmd.StdinPipe()
	}
	if err != nil {
		p.tb.Fatal(err)
	}
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		p.tb.Fatal(err)
	}
	p.cmd, p.done, p.renewed = cmd, make(chan struct{}, 1), make(map[string]int)
	ready := make(chan bool, 1)
	go p.listen(out, ready, p.done)
	select {
	case ok := <-ready:
		if !ok {
			p.Stop()
			p.tb.Fatalf("the provider does not start: %s", &said)
		}
	case <-time.After(Patience):
		p.Stop()
		p.tb.Fatalf("the provider does not come up: %s", &said)
	}
}

// listen reads what it says, to the end.
func (p *Provider) listen(out io.Reader, ready chan<- bool, done chan<- struct{}) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		switch word, account, _ := strings.Cut(lines.Text(), " "); word {
		case "ready":
			ready <- true
		case "done":
			done <- struct{}{}
		case "renewed":
			p.mu.Lock()
			p.renewed[account]++
			p.mu.Unlock()
		}
	}
	select {
	case ready <- false:
	default: // it was, before
	}
}

// Renewed is how many refresh tokens of an account it took.
func (p *Provider) Renewed(account string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.renewed[account]
}

// Disable has it know an account no more.
func (p *Provider) Disable(account string) { p.order(map[string]any{"disable": account}) }

// Down has it stop or begin to listen. It forgets nothing, as after Stop.
func (p *Provider) Down(down bool) { p.order(map[string]any{"down": down}) }

// Freeze has it answer nothing until Thaw, and take then what was asked meanwhile.
func (p *Provider) Freeze() { p.signal(syscall.SIGSTOP) }

// Thaw ends what Freeze began.
func (p *Provider) Thaw() { p.signal(syscall.SIGCONT) }

func (p *Provider) signal(sig syscall.Signal) {
	p.tb.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.tb.Fatal(err)
	}
}

func (p *Provider) order(order map[string]any) {
	p.tb.Helper()
	if err := json.NewEncoder(p.orders).Encode(order); err != nil {
		p.tb.Fatal(err)
	}
	select {
	case <-p.done:
	case <-time.After(Patience):
		p.tb.Fatalf("the provider does not follow the order %v", order)
	}
}

// Stop ends it, if it runs.
func (p *Provider) Stop() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Kill() // it may have ended by itself
	_ = p.cmd.Wait()         // killed
	p.cmd = nil
}

// Caddyfile is the sign-in method by the provider, with further lines.
func (p *Provider) Caddyfile(id string, lines ...string) string {
	return fmt.Sprintf("signin oidc %s {\n\tissuer %s\n\tclient_id %s\n\tclient_secret %s\n\t%s\n}\n",
		id, p.Issuer, ProviderClient, ProviderSecret, strings.Join(lines, "\n\t"))
}

// SignInAt signs in at the provider's own page, where a browser has come to, and
// returns the page that this ends at. Without an account it cancels.
func (c *Client) SignInAt(page *Response, account string) *Response {
	c.tb.Helper()
	field := "login"
	if account == "" {
		field = "cancel"
	}
	form, err := page.Form(field)
	if err != nil {
		c.tb.Fatal(err)
	}
	if account != "" {
		form.Values.Set(field, account)
	}
	resp, err := c.Submit(form)
	if err != nil {
		c.tb.Fatal(err)
	}
	return resp
}

// Links are where a page leads to, by what its links begin with, with nothing
// of their own origin.
func (r *Response) Links(beginning string) []string {
	root, err := html.Parse(strings.NewReader(r.Body))
	if err != nil {
		return nil
	}
	var found []string
	for n := range root.Descendants() {
		if n.Type == html.ElementNode && n.Data == "a" && strings.HasPrefix(attribute(n, "href"), beginning) {
			found = append(found, attribute(n, "href"))
		}
	}
	return found
}
